import nltk
import numpy as np
import pytest
from nltk.corpus import stopwords
from nltk.stem import PorterStemmer
from scipy.stats import ttest_1samp
from statsmodels.stats.proportion import proportion_confint

from pipeline.config.schema import CbowConfig, SampleConfig, TextConfig
from pipeline.data.sample.generate import labelled_batches, unlabelled_batches
from pipeline.data.sample.words import PAIRS, POLARITY, SYNONYM_GROUPS
from pipeline.embedding.cbow import train_cbow
from pipeline.evaluation.probes.antonyms import antonym_sets, antonyms, planted_triples
from pipeline.evaluation.probes.opinion_words import opinion_words
from pipeline.evaluation.probes.polarity import polarity
from pipeline.text.presets import build_tokenizer

EVALUATIVE, DESCRIPTIVE = antonym_sets("files").values()
LISTED = EVALUATIVE + DESCRIPTIVE
TEXT = TextConfig(
    tokenizer="tweet", handles="mask", links="mask", emoticons="keep", min_count=1, unlabelled_min_count=None,
    max_tokens=None,
)  # fmt: skip
CBOW = CbowConfig(
    algorithm="word2vec", use_unlabelled=True, extra_text=None, vector_size=40, seed=0, sg=0, hs=0, window=8,
    shrink_windows=False, min_count=5, max_vocab_size=None, max_final_vocab=None, sample=1e-4, negative=5,
    ns_exponent=0.75, cbow_mean=1, alpha=0.075, min_alpha=0.0001, epochs=12, batch_words=10000, workers=1, min_n=3,
    max_n=6, bucket=1000,
)  # fmt: skip


def probe(initial, final, triples, id_of, touched):
    return antonyms(initial, final, triples, id_of.get, touched)


def assign_rows(triples):
    """A row for every word, from 2."""
    words = dict.fromkeys(word for triple in triples for word in triple)
    return {word: row for row, word in enumerate(words, start=2)}


def test_form_of_the_word_list():
    assert (len(EVALUATIVE), len(DESCRIPTIVE)) == (289, 74)
    assert (EVALUATIVE[0], EVALUATIVE[-1]) == (("happy", "glad", "sad"), ("yum", "yummy", "ew"))
    assert (DESCRIPTIVE[0], DESCRIPTIVE[-1]) == (("big", "huge", "small"), ("online", "digital", "offline"))
    assert len({anchor for anchor, _, _ in LISTED}) == len(LISTED)
    assert len({(frozenset(triple[:2]), triple[2]) for triple in LISTED}) == len(LISTED)
    tokenizer, stem = build_tokenizer(TEXT), PorterStemmer().stem
    for triple in LISTED:
        assert [tokenizer(word) for word in triple] == [[word] for word in triple]
        assert len({stem(word) for word in triple}) == 3


def test_the_word_list_agrees_with_published_lists(shared, monkeypatch):
    folder = shared("nltk_data")
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    assert not set(stopwords.words("english")) & {word for triple in LISTED for word in triple}
    opinions = opinion_words("nltk")
    known = {triple: [opinions.get(word) for word in triple] for triple in LISTED}
    assert sum(None not in known[triple] for triple in EVALUATIVE) > 150
    contradictions = [
        anchor
        for triple in EVALUATIVE
        for anchor, (positive, same, opposite) in [(triple[0], known[triple])]
        if (None not in (positive, same) and positive != same)
        or (None not in (positive, opposite) and positive == opposite)
    ]
    # Hu and Liu list "funny" as negative, "tough" and "defeat" as positive.
    assert contradictions == ["funny", "hard", "victory"]
    assert [t for t in DESCRIPTIVE if None not in (known[t][0], known[t][2]) and known[t][0] != known[t][2]] == []


def test_planted_triples_are_those_of_the_generator():
    group_of = {word: group.name for group in SYNONYM_GROUPS for word in group.words}
    opposites = {group.name: opposite.name for pair in PAIRS for group, opposite in (pair, pair[::-1])}
    triples = planted_triples()
    assert len({anchor for anchor, _, _ in triples}) == len(triples) > 500
    for anchor, synonym, antonym in triples:
        assert anchor != synonym
        assert group_of[anchor] == group_of[synonym] == opposites[group_of[antonym]]
        assert POLARITY[anchor] == POLARITY[synonym] != POLARITY[antonym]
    assert ("great", "amazing", "awful") in triples
    assert ("gah", "ugh", "yay") in triples
    assert antonym_sets("sample") == {"planted": triples}
    assert list(antonym_sets("files")) == ["evaluative", "descriptive"]


def test_known_cosines():
    triples = [("a", "s", "o"), *((f"a{i}", f"s{i}", f"o{i}") for i in range(5))]
    id_of = assign_rows(triples)
    initial = np.zeros((20, 2), dtype=np.float32)
    final = np.zeros((20, 2), dtype=np.float32)
    for anchor, synonym, antonym in triples:
        initial[[id_of[anchor], id_of[synonym], id_of[antonym]]] = [[2, 0], [1, 0], [0, 3]]  # cosines 1 and 0
        final[[id_of[anchor], id_of[synonym], id_of[antonym]]] = [[0, 2], [1, 0], [3, 4]]  # cosines 0 and 0.8
    final[[2, 3, 4]] = [[1, 1], [5, 5], [-1, -1]]  # cosines 1 and -1
    touched = np.arange(20) != 4
    metrics, table = probe(initial, final, [*triples, ("a", "absent", "o"), ("a", "a", "o")], id_of, touched)
    assert metrics == pytest.approx(
        {
            "coverage": 6 / 8,
            "n": 6, "gap_before": 1, "gap": (2 - 5 * 0.8) / 6, "nearer_before": 1, "nearer": 1 / 6,
            "seen/n": 5, "seen/gap_before": 1, "seen/gap": -0.8, "seen/nearer_before": 1, "seen/nearer": 0,
            "unseen/n": 1, "unseen/gap_before": None, "unseen/gap": None, "unseen/nearer_before": None,
            "unseen/nearer": None,
        }
    )  # fmt: skip
    assert [row["words"] for row in table] == ["all", "seen", "unseen"]
    assert {row["words"]: row["n"] for row in table} == {"all": 6, "seen": 5, "unseen": 1}


def test_intervals_equal_scipys_and_statsmodels():
    id_of = assign_rows(EVALUATIVE)
    matrix = np.random.default_rng(0).standard_normal((len(id_of) + 2, 30)).astype(np.float32)
    _, (row, *_) = probe(matrix, matrix, EVALUATIVE, id_of, np.ones(len(matrix), dtype=bool))
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    gaps = [
        unit[id_of[anchor]] @ unit[id_of[synonym]] - unit[id_of[anchor]] @ unit[id_of[antonym]]
        for anchor, synonym, antonym in EVALUATIVE
    ]
    interval = ttest_1samp(gaps, 0).confidence_interval()
    assert (row["gap"], row["gap_low"], row["gap_high"]) == pytest.approx(
        (np.mean(gaps), interval.low, interval.high), abs=1e-6
    )
    nearer = sum(gap > 0 for gap in gaps)
    assert row["nearer"] == nearer / len(gaps)
    assert (row["nearer_low"], row["nearer_high"]) == pytest.approx(
        proportion_confint(nearer, len(gaps), method="wilson")
    )
    assert row["gap_low"] < 0 < row["gap_high"]
    assert row["nearer_low"] < 0.5 < row["nearer_high"]


def test_rows_of_zeros_and_words_of_one_token_do_not_count():
    triples = [(f"a{i}", f"s{i}", f"o{i}") for i in range(8)]
    id_of = assign_rows(triples)
    initial = np.random.default_rng(0).standard_normal((26, 3)).astype(np.float32)
    final = initial.copy()
    initial[id_of["s0"]] = 0
    final[id_of["o1"]] = 0

    def row_of(word):
        return None if word == "a2" else id_of["a3" if word == "s3" else word]

    metrics, _ = antonyms(initial, final, triples, row_of, np.ones(26, dtype=bool))
    assert (metrics["n"], metrics["coverage"]) == (4, 0.5)
    assert metrics["gap"] is None
    assert probe(initial, final, [], {}, np.ones(26, dtype=bool))[0]["coverage"] == 0


def test_cbow_on_generated_tweets_recovers_the_planted_synonyms(tmp_path):
    config = SampleConfig(labelled=4000, unlabelled=26000, seed=0, label_noise=0.05, leak=0)
    tokenizer = build_tokenizer(TEXT)
    texts = [text for batch, _ in labelled_batches(config) for text in batch]
    texts += [text for batch in unlabelled_batches(config) for text in batch]
    (tmp_path / "corpus.txt").write_text("".join(" ".join(tokenizer(text)) + "\n" for text in texts), "utf-8")
    vectors = train_cbow(tmp_path / "corpus.txt", CBOW, corpus_fingerprint="f00d")
    id_of = {word: row for row, word in enumerate(vectors.words, start=2)}
    learned = np.concatenate([np.zeros((2, 40), dtype=np.float32), vectors.vectors])
    random = np.random.default_rng(0).standard_normal(learned.shape).astype(np.float32)
    touched = np.ones(len(learned), dtype=bool)
    metrics, (row, *_) = probe(random, learned, planted_triples(), id_of, touched)
    assert metrics["coverage"] == 1
    assert row["nearer_low_before"] < 0.5 < row["nearer_high_before"]
    assert row["gap_low_before"] < 0 < row["gap_high_before"]
    assert row["nearer_low"] > 0.6
    assert row["gap_low"] > 0.05
    separation, _ = polarity(random, learned, opinion_words("sample"), id_of.get, touched)
    assert separation["seen/auc_before"] == pytest.approx(0.5, abs=0.08)
    assert separation["seen/auc"] > 0.9
    assert separation["seen/neighbours_before"] == pytest.approx(0.5, abs=0.03)
    assert separation["seen/neighbours"] > 0.6
