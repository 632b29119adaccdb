r"""fastText's supervised classifier (Joulin et al. 2017, Bag of tricks for efficient text classification).

It comes in the package floret, whose `fasttext` mode is the original. The settings are the paper's (10 dimensions,
pairs of words hashed to rows of their own) and the library's, but 25 epochs as in its tutorial: its default of 5
leaves a thousand tweets unlearned.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline.evaluation.baselines.data import FloatArray, Model, Split, Training

SETTINGS: dict[str, Any] = {
    "mode": "fasttext",
    "dim": 10,
    "epoch": 25,
    "wordNgrams": 2,
    "minn": 0,
    "maxn": 0,
    "minCount": 1,
    "bucket": 2_000_000,
    "loss": "softmax",
}
# A token that begins like a label would be read as one. Python takes \x1f for white space, so no token holds it.
LABEL = "\x1flabel"


def fasttext(training: Training) -> Callable[[float], Model]:
    """Write the labelled tweets to a file and train on it with one thread; call the outcome with the learning rate.

    fastText takes the tweets in the order of the file, so that is shuffled by the seed.
    """
    import floret

    rng = np.random.default_rng(training.seed)
    order = rng.permutation(len(training.tokens))
    lines = [f"{LABEL}{training.labels[row]} {_line(training.tokens[row])}" for row in order]
    seed = int(rng.integers(1, 2**31 - 1))

    def fit(rate: float) -> Model:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "train.txt"
            file.write_text("".join(lines), "utf-8", newline="\n")
            model = floret.train_supervised(
                input=str(file), lr=rate, label=LABEL, seed=seed, thread=1, verbose=0, **SETTINGS
            )
        # `model.predict` needs numpy 1 for one text and repeats the last probability for several (floret 0.10.5).
        predict = model.f.predict

        def probabilities(split: Split) -> FloatArray:
            whole_NC = np.zeros((len(split.tokens), training.classes), dtype=np.float32)
            for row_C, tokens in zip(whole_NC, split.tokens, strict=True):
                for probability, label in predict(_line(tokens), training.classes, 0.0, "strict"):
                    row_C[int(label.removeprefix(LABEL))] = probability
            # fastText adds 1e-5 to each of a tweet's probabilities.
            whole_NC /= whole_NC.sum(axis=1, keepdims=True)
            return whole_NC

        rows = len(model.get_words()) + SETTINGS["bucket"] + len(model.get_labels())
        return Model(probabilities, rows * SETTINGS["dim"])

    return fit


def _line(tokens: str) -> str:
    """One line of fastText's input; its own end-of-line token within a tweet would cut the tweet short."""
    return tokens.replace("</s>", "<s/>") + "\n"
