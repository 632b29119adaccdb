"""fastText baseline: the supervised classifier on words and word bigrams.

Joulin et al. (2017), Bag of tricks for efficient text classification. The package floret contains it as its mode
`fasttext`. Settings are the paper's (10 dimensions, hashed bigrams) and the library's, but 25 epochs as in its
tutorial: the default of 5 underfits a thousand tweets.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline.evaluation.baselines.data import FittedBaseline, FloatArray, Split, TrainingSet

SETTINGS: dict[str, Any] = {
    "mode": "fasttext", "dim": 10, "epoch": 25, "wordNgrams": 2, "minn": 0, "maxn": 0, "minCount": 1,
    "bucket": 2_000_000, "loss": "softmax",
}  # fmt: skip
# A token with the label prefix would be read as a label. \x1f is white space to Python, so no token contains it.
LABEL = "\x1flabel"


def fasttext(training: TrainingSet) -> Callable[[float], FittedBaseline]:
    """Return a function that trains with a learning rate, on one thread.

    fastText reads the tweets in the order of its file, so they are shuffled by the seed.
    """
    import floret

    rng = np.random.default_rng(training.seed)
    order = rng.permutation(len(training.tokens))
    lines = [f"{LABEL}{training.labels[row]} {_line(training.tokens[row])}" for row in order]
    seed = int(rng.integers(1, 2**31 - 1))

    def fit(rate: float) -> FittedBaseline:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "train.txt"
            file.write_text("".join(lines), "utf-8", newline="\n")
            settings = SETTINGS | {"lr": rate, "seed": seed}
            model = floret.train_supervised(input=str(file), label=LABEL, thread=1, verbose=0, **settings)
        # `model.predict` needs numpy 1 for one text, and repeats the last probability for several (floret 0.10.5).
        predict = model.f.predict

        def probabilities(split: Split) -> FloatArray:
            probabilities_NC = np.zeros((len(split.tokens), training.classes), dtype=np.float32)
            for row_C, tokens in zip(probabilities_NC, split.tokens, strict=True):
                for probability, label in predict(_line(tokens), training.classes, 0.0, "strict"):
                    row_C[int(label.removeprefix(LABEL))] = probability
            # fastText adds 1e-5 to each of a tweet's probabilities.
            probabilities_NC /= probabilities_NC.sum(axis=1, keepdims=True)
            return probabilities_NC

        rows = len(model.get_words()) + SETTINGS["bucket"] + len(model.get_labels())
        return FittedBaseline(probabilities, rows * SETTINGS["dim"])

    return fit


def _line(tokens: str) -> str:
    """One line of fastText's input; fastText's end-of-line token within a tweet would truncate the tweet."""
    return tokens.replace("</s>", "<s/>") + "\n"
