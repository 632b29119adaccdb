import hashlib
import inspect
import json
import logging
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace
from math import log as ln

import numpy as np
import pytest
from gensim.models import FastText, Word2Vec

from pipeline.config.schema import SELECTION, CbowConfig
from pipeline.embedding import cbow
from pipeline.embedding.cbow import FASTTEXT_PARAMETERS, WORD2VEC_PARAMETERS, epochs_for, train_cbow
from pipeline.runtime.errors import RunError, UserError

CONFIG = CbowConfig(
    algorithm="word2vec", use_unlabelled=False, extra_text=None, vector_size=12, seed=0, sg=0, hs=0, window=3,
    shrink_windows=True, min_count=2, max_vocab_size=None, max_final_vocab=None, sample=0.01, negative=5,
    ns_exponent=0.75, cbow_mean=1, alpha=0.05, min_alpha=0.0001, epochs=3, batch_words=10000, workers=1, min_n=3,
    max_n=4, bucket=500,
)  # fmt: skip


def write_corpus(path, lines=600, seed=3):
    """Two topics whose words never meet, a word they share, and words of one occurrence."""
    rng = random.Random(seed)
    topics = [[f"{topic}{i}" for i in range(10)] for topic in ("sea", "land")]
    texts = [" ".join([*rng.choices(topics[i % 2], k=8), "the", f"rare{i}"]) for i in range(lines)]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus.txt")


def train(corpus, **changes):
    return train_cbow(corpus, replace(CONFIG, **changes), corpus_fingerprint="f00d")


def test_parameters_are_those_of_the_schema_under_gensims_names():
    schema = {f.name for f in fields(CbowConfig)} - {
        "algorithm", "use_unlabelled", "extra_text", "extra_encoding", *SELECTION,
    }  # fmt: skip
    assert set(FASTTEXT_PARAMETERS) == schema
    assert set(FASTTEXT_PARAMETERS) <= set(inspect.signature(FastText).parameters)
    assert set(WORD2VEC_PARAMETERS) <= set(inspect.signature(Word2Vec).parameters)


@pytest.mark.parametrize("algorithm", ["word2vec", "fasttext"])
@pytest.mark.parametrize(
    "changes", [{}, {"sg": 1}, {"hs": 1, "negative": 0}, {"cbow_mean": 0, "shrink_windows": False, "seed": 7}]
)
def test_vectors_are_those_of_a_bare_gensim_call(corpus, algorithm, changes):
    ours = train(corpus, algorithm=algorithm, **changes)
    config = replace(CONFIG, **changes)
    if algorithm == "fasttext":
        bare = FastText(corpus_file=str(corpus), **{k: getattr(config, k) for k in FASTTEXT_PARAMETERS})
    else:
        bare = Word2Vec(corpus_file=str(corpus), **{k: getattr(config, k) for k in WORD2VEC_PARAMETERS})
    assert set(ours.words) == set(bare.wv.index_to_key)
    assert ours.vectors.dtype == np.float32
    np.testing.assert_array_equal(ours.vectors, bare.wv[ours.words])


def test_words_come_by_falling_count_then_alphabetically(corpus):
    ours = train(corpus)
    counts = Counter(corpus.read_text("utf-8").split())
    expected = sorted((w for w in counts if counts[w] >= 2), key=lambda w: (-counts[w], w))
    assert ours.words == expected
    assert ours.counts.tolist() == [counts[w] for w in expected]
    assert ours.words[0] == "the"


def test_words_of_a_topic_end_close_together(corpus):
    ours = train(corpus, epochs=20)
    unit = ours.vectors / np.linalg.norm(ours.vectors, axis=1, keepdims=True)
    sea = [i for i, w in enumerate(ours.words) if w.startswith("sea")]
    land = [i for i, w in enumerate(ours.words) if w.startswith("land")]
    within = (unit[sea] @ unit[sea].T).mean()
    assert within > (unit[sea] @ unit[land].T).mean() + 0.5


def test_one_worker_is_bit_reproducible_in_every_process(corpus):
    program = (
        "import hashlib, json, sys\nfrom pathlib import Path\n"
        "from pipeline.embedding.cbow import epochs_for, train_cbow\nfrom pipeline.config.schema import CbowConfig\n"
        "v = train_cbow(Path(sys.argv[1]), CbowConfig(**json.loads(sys.argv[2])), corpus_fingerprint='f00d')\n"
        "print(hashlib.sha256(v.vectors.tobytes() + ' '.join(v.words).encode()).hexdigest())\n"
    )
    config = json.dumps({f.name: getattr(CONFIG, f.name) for f in fields(CbowConfig)})
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(corpus), config],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        for hash_seed in ("1", "2")
    ]  # fmt: skip
    outputs = [process.communicate(timeout=60)[0].strip() for process in started]
    here = train(corpus)
    digest = hashlib.sha256(here.vectors.tobytes() + " ".join(here.words).encode()).hexdigest()
    assert outputs == [digest, digest]
    assert not np.array_equal(train(corpus, seed=1).vectors, here.vectors)


def test_info_records_parameters_corpus_and_versions(corpus):
    info = train(corpus).info
    json.dumps(info, allow_nan=False)
    assert info["knobs"] == {name: getattr(CONFIG, name) for name in WORD2VEC_PARAMETERS}
    assert info["corpus"] == {"fingerprint": "f00d", "lines": 600, "tokens": 6000}
    assert info["reproducible"] is True
    assert info["context_step"] == "the gradient times the number of context vectors"
    assert (info["words"], info["composed_words"]) == (21, 0)
    assert 0 < info["trained_words"] < 3 * 6000
    assert info["versions"]["gensim"]
    assert info["seconds"] > 0


@pytest.mark.parametrize(
    ("changes", "step"),
    [({"cbow_mean": 0}, "the gradient divided by the number of context vectors"), ({"sg": 1}, "the gradient")],
)
def test_the_size_of_the_context_step_is_recorded(corpus, changes, step):
    assert train(corpus, **changes).info["context_step"] == step


def test_the_step_on_a_context_vector_is_what_info_says(tmp_path):
    """One step from known vectors: with `cbow_mean=1` the gradient's 1/(number of context words) is left out."""
    path = tmp_path / "corpus.txt"
    path.write_text("a b c\n")
    model = Word2Vec(
        min_count=1, vector_size=2, window=2, shrink_windows=False, negative=0, hs=1, sample=0, workers=1, cbow_mean=1
    )
    model.build_vocab(corpus_file=str(path))
    model.wv.vectors[:] = [[0.1, 0.2], [0.3, -0.1], [-0.2, 0.4]]
    model.syn1[:] = [[0.5, -0.5], [0.25, 0.75], [0, 0]]
    before, outer = model.wv.vectors.copy(), model.syn1.copy()
    model.train(corpus_file=str(path), total_examples=1, total_words=3, epochs=1, start_alpha=1e-3, end_alpha=1e-3)
    rows = {w: model.wv.key_to_index[w] for w in "abc"}
    gradient = np.zeros_like(before)  # of the loss for each of the three targets, first order in alpha
    for target, context in (("a", "bc"), ("b", "ac"), ("c", "ab")):
        mean = before[[rows[w] for w in context]].mean(axis=0)
        points, codes = (model.wv.get_vecattr(target, name) for name in ("point", "code"))
        step = sum((1 - c - 1 / (1 + np.exp(-mean @ outer[p]))) * outer[p] for p, c in zip(points, codes, strict=True))
        for word in context:
            gradient[rows[word]] += step / len(context)
    step = (model.wv.vectors - before) / 1e-3
    assert (step * gradient).sum() / (gradient**2).sum() == pytest.approx(2, abs=0.05)  # two context words
    np.testing.assert_allclose(step, 2 * gradient, atol=0.02)


def test_fasttext_composes_words_that_training_did_not_keep(corpus):
    extra = ["seashore", "the", "sea1", "landslide", "x"]
    config = replace(CONFIG, algorithm="fasttext", min_n=4, max_n=5)
    ours = train_cbow(corpus, config, extra_words=extra, corpus_fingerprint="f00d")
    bare = FastText(corpus_file=str(corpus), **{k: getattr(config, k) for k in FASTTEXT_PARAMETERS})
    assert ours.words[-2:] == ["landslide", "seashore"]  # "x" is shorter than any n-gram
    assert ours.counts[-3:].tolist()[1:] == [0, 0]
    assert ours.counts[-3] > 0
    assert ours.info["composed_words"] == 2
    assert len(set(ours.words)) == len(ours.words) == ours.info["words"] + 2
    np.testing.assert_array_equal(ours.vectors, bare.wv[ours.words])


def test_without_ngrams_nothing_is_composed(corpus):
    for changes in ({"algorithm": "fasttext", "min_n": 4, "max_n": 3}, {"algorithm": "word2vec"}):
        config = replace(CONFIG, **changes)
        assert train_cbow(corpus, config, extra_words=["sea99"], corpus_fingerprint="").info["composed_words"] == 0


def test_loss_per_word_starts_at_the_entropy_of_a_coin_per_pair(corpus):
    """While all scores are 0 each of the 1 + negative pairs costs ln 2; a negative equal to the target is skipped."""
    ours = train(corpus, sample=0, alpha=1e-6, min_alpha=1e-7, epochs=2)
    weights = (ours.counts / ours.counts.sum()) ** 0.75
    not_target = 1 - (weights / weights.sum()) @ (ours.counts / ours.counts.sum())
    np.testing.assert_allclose(ours.info["loss_per_word"], ln(2) * (1 + CONFIG.negative * not_target), rtol=0.03)


def test_loss_falls_and_is_given_only_where_it_means_something(corpus, monkeypatch):
    losses = train(corpus, epochs=8).info["loss_per_word"]
    assert [loss is None for loss in losses] == [False, *[True] * 6, False]
    assert losses[-1] < losses[0] - 0.2
    assert train(corpus, workers=2).info["loss_per_word"] == []
    assert train(corpus, algorithm="fasttext").info["loss_per_word"] == []
    monkeypatch.setattr(cbow, "MAX_LOSS_SUM", 100.0)
    assert train(corpus).info["loss_per_word"] == [None, None, None]


def test_log_reports_progress_and_reproducibility(corpus, caplog):
    caplog.set_level(logging.INFO)
    train(corpus)
    messages = [record.getMessage() for record in caplog.records]
    assert {record.name for record in caplog.records} == {"pipeline"}
    assert len(messages) == 4
    assert messages[0].startswith("cbow: 3 epochs of 6,000 tokens, 21 words seen 2 times or more, 12 dimensions")
    assert messages[0].endswith("bit-reproducible")
    assert all(f"epoch {i}/3" in messages[i] and "words/s" in messages[i] for i in (1, 2, 3))
    assert "0 s left, loss" in messages[3]
    caplog.clear()
    assert train(corpus, workers=2).info["reproducible"] is False
    assert "not bit-reproducible" in caplog.records[0].getMessage()
    assert "loss" not in caplog.records[-1].getMessage()
    assert logging.getLogger("gensim").level == logging.NOTSET


@pytest.mark.parametrize("hs", [0, 1])
@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        ("", {}, ["no tokens"]),
        ("\n \n", {}, ["no tokens"]),
        (
            "a b c d a\n",
            {"min_count": 5},
            ["cbow.min_count=5", "0 of the 4 words", "5 tokens", "most frequent one has 2"],
        ),
        ("a a a b\n", {"min_count": 2}, ["cbow.min_count=2", "1 of the 2 words"]),
        ("a b c a b c\n", {"max_final_vocab": 1, "min_count": 1}, ["raised to 3 by cbow.max_final_vocab=1"]),
    ],
)
def test_a_corpus_that_is_too_small_is_refused_with_numbers(tmp_path, text, changes, expected, hs):
    path = tmp_path / "corpus.txt"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        train(path, hs=hs, negative=5 * (1 - hs), **changes)
    assert all(text in str(caught.value) for text in expected), str(caught.value)


def test_subsampling_that_leaves_no_token_is_refused(corpus):
    with pytest.raises(UserError, match=r"cbow\.sample=1e-12 left none of 6000 tokens"):
        train(corpus, sample=1e-12)


def test_vectors_that_are_not_finite_fail_the_run(corpus, monkeypatch):
    original_train = Word2Vec.train

    def diverge(model, **arguments):
        result = original_train(model, **arguments)
        model.wv.vectors[3, 1] = np.inf
        return result

    monkeypatch.setattr(Word2Vec, "train", diverge)
    with pytest.raises(RunError, match=r"cbow\.alpha=0\.05"):
        train(corpus)


@pytest.mark.parametrize(("tokens", "epochs"), [(0, 100), (90_000, 100), (400_000, 50), (1_000_000, 20), (10**9, 20)])
def test_epochs_follow_from_the_size_of_the_corpus(tokens, epochs):
    assert epochs_for(tokens) == epochs


def test_the_number_of_epochs_is_chosen_and_recorded(corpus):
    chosen, fixed = train(corpus, epochs=None), train(corpus, epochs=100)
    assert chosen.info["knobs"]["epochs"] == 100
    assert chosen.vectors.tobytes() == fixed.vectors.tobytes()
