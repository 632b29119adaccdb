import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from pipeline.evaluation.probes import transfer as module
from pipeline.evaluation.probes.transfer import (
    GRID,
    TransferTask,
    logistic_scores,
    macro_nll,
    reference_scores,
    transfer_metrics,
    transfer_score,
    word_shares,
)
from pipeline.text.encoded_split import EncodedSplit

WORDS = 62  # PAD, UNK, then 20 words of each of three topics
ROWS = {"train": 500, "validation": 150, "test": 600}


def encoded(tweets, labels):
    ids = np.array([id for tweet in tweets for id in tweet], np.int32)
    offsets = np.cumsum([0, *map(len, tweets)], dtype=np.int64)
    return EncodedSplit(ids, offsets, np.array(labels, np.int32))


def topic_tweets(seed, shares=(0.6, 0.25, 0.15)):
    """Tweets of four words of their topic, two of any, and an unknown one; topics of unequal size."""
    rng = np.random.default_rng(seed)
    splits = {}
    for split, rows in ROWS.items():
        labels = rng.choice(3, rows, p=shares)
        words = 2 + 20 * labels[:, None] + rng.integers(0, 20, (rows, 4))
        tweets = np.hstack([words, rng.integers(2, WORDS, (rows, 2)), np.ones((rows, 1), np.int64)])
        splits[split] = encoded(tweets.tolist(), labels)
    return splits


def task_of(splits, labels=None, words=WORDS):
    shares = {split: word_shares(rows, words) for split, rows in splits.items()}
    true = {split: np.asarray(rows.labels, np.int64) for split, rows in splits.items()}
    return TransferTask("toy", 3, shares, labels or true)


def planted(noise, dim=8, seed=0):
    """Rows whose first three coordinates are the word's topic."""
    matrix = noise * np.random.default_rng(seed).standard_normal((WORDS, dim))
    matrix[np.arange(2, WORDS), (np.arange(2, WORDS) - 2) // 20] += 1
    return matrix.astype(np.float32)


def score_of(matrix, task):
    return transfer_score(matrix, task)[0]


def scores_of(*arguments):
    return logistic_scores(*arguments)[0]


@pytest.fixture(scope="module")
def splits():
    return topic_tweets(0)


@pytest.fixture(scope="module")
def task(splits):
    return task_of(splits)


def test_shares_of_known_words():
    split = encoded([[5, 1, 5, 2], [1, 1], [], [0, 3, 0], [4]], [0, 1, 0, 1, 0])
    assert word_shares(split, 6).toarray() == pytest.approx(
        np.array([[0, 0, 1 / 3, 0, 0, 2 / 3], [0] * 6, [0] * 6, [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]])
    )


def test_planted_topics_are_predicted_and_random_labels_are_not(task):
    result = score_of(planted(0.01), task)
    assert (result["accuracy"], result["macro_recall"], result["macro_f1"]) == (1, 1, 1)
    assert (result["n"], result["converged"]) == (600, 1)
    rng = np.random.default_rng(1)
    labels = {split: rng.integers(0, 3, rows) for split, rows in ROWS.items()}
    chance = score_of(planted(0.01), TransferTask("chance", 3, task.shares, labels))
    assert chance["accuracy"] == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / 600))
    assert chance["macro_recall"] == pytest.approx(1 / 3, abs=0.08)


@threadpool_limits.wrap(limits=1, user_api="blas")
def test_equals_scikit_learn_alone(splits, task):
    matrix = planted(6.0, seed=3) * np.logspace(-2, 2, 8, dtype=np.float32)  # so that scaling counts
    means, labels = {}, {}
    for split, rows in splits.items():
        tweets = np.split(rows.ids, rows.offsets[1:-1])
        means[split] = np.array([matrix[tweet[tweet > 1]].astype(float).mean(axis=0) for tweet in tweets])
        labels[split] = rows.labels
    scaler = StandardScaler().fit(means["train"])
    scaled = {split: scaler.transform(mean) for split, mean in means.items()}
    fits = [LogisticRegression(C=c, class_weight="balanced", tol=1e-8, max_iter=5000) for c in GRID]
    for fit in fits:
        fit.fit(scaled["train"], labels["train"])
    # One label's weight in the loss is the inverse of its share: the mean over classes of their means.
    weights = 1 / np.bincount(labels["validation"])[labels["validation"]]
    losses = [
        log_loss(labels["validation"], fit.predict_proba(scaled["validation"]), sample_weight=weights) for fit in fits
    ]
    best = int(np.argmin(losses))
    predicted = fits[best].predict(scaled["test"])
    result = score_of(matrix, task)
    assert result["C"] == GRID[best]
    assert result["accuracy"] == pytest.approx(accuracy_score(labels["test"], predicted), abs=0.003)
    recall = recall_score(labels["test"], predicted, average="macro")
    assert result["macro_recall"] == pytest.approx(recall, abs=0.005)
    assert result["macro_f1"] == pytest.approx(f1_score(labels["test"], predicted, average="macro"), abs=0.005)
    # The comparison is sensitive: without class weights, or without scaling, the score differs.
    for weight, features in ((None, scaled), ("balanced", means)):
        other = LogisticRegression(C=GRID[best], class_weight=weight, max_iter=5000)
        other.fit(features["train"], labels["train"])
        assert abs(recall - recall_score(labels["test"], other.predict(features["test"]), average="macro")) > 0.01


def test_the_order_of_the_vocabulary_does_not_matter(splits, task):
    order = np.concatenate([[0, 1], 2 + np.random.default_rng(4).permutation(WORDS - 2)])
    moved = {split: EncodedSplit(order[rows.ids], rows.offsets, rows.labels) for split, rows in splits.items()}
    matrix = planted(1.0)
    permuted = np.empty_like(matrix)
    permuted[order] = matrix
    assert score_of(permuted, task_of(moved)) == score_of(matrix, task)


def test_scale_special_rows_and_constant_dimensions_do_not_matter(splits, task):
    matrix = planted(1.0)
    result = score_of(matrix, task)
    assert score_of(matrix, task) == result
    assert score_of(1024 * matrix, task) == result
    special = matrix.copy()
    special[:2] = 1e6
    assert score_of(special, task) == result
    # A dimension that is the same for all words is the same for all tweets, but for the rounding of its mean.
    wide = np.hstack([matrix, np.full((WORDS, 5), 0.1, np.float32), np.zeros((WORDS, 3), np.float32)])
    assert score_of(wide, task) == pytest.approx(result)


def test_a_matrix_without_information_scores_at_chance(task):
    result = score_of(np.zeros((WORDS, 4), np.float32), task)
    assert result["macro_recall"] == pytest.approx(1 / 3)
    assert result["C_at_edge"] == 1


def test_before_and_after(task):
    initial, final = planted(3.0), planted(0.3)
    (before, before_N), (after, after_N) = transfer_score(initial, task), transfer_score(final, task)
    metrics, row = transfer_metrics(task, initial, final)
    assert row == {
        "task": "toy",
        "before": "".join("01"[hit] for hit in before_N.astype(int)),
        "after": "".join("01"[hit] for hit in after_N.astype(int)),
    }
    assert row["after"].count("1") / 600 == pytest.approx(after["accuracy"])
    assert metrics["macro_recall"] == after["macro_recall"]
    assert metrics["macro_recall_before"] == before["macro_recall"]
    assert after["macro_recall"] > before["macro_recall"] + 0.1
    assert metrics["n"] == 600
    frozen, row = transfer_metrics(task, initial, initial.copy())
    assert row["before"] == row["after"]
    assert frozen["accuracy"] == frozen["accuracy_before"] == before["accuracy"]
    wider, _ = transfer_metrics(task, initial, np.hstack([initial, final]))
    assert wider["accuracy_before"] == before["accuracy"] < wider["accuracy"]


def test_invalid_input_is_refused(task):
    with pytest.raises(ValueError, match="toy: the matrix has 61 rows, the task's vocabulary 62"):
        score_of(planted(1.0)[1:], task)
    broken = planted(1.0)
    broken[5, 2] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        score_of(broken, task)
    two = {split: np.minimum(labels, 1) for split, labels in task.labels.items()}
    with pytest.raises(ValueError, match="has 2 of 3 classes"):
        score_of(planted(1.0), TransferTask("toy", 3, task.shares, two))


def test_fits_that_do_not_converge_are_reported_without_a_warning(task, monkeypatch):
    assert score_of(planted(1.0), task)["converged"] == 1
    monkeypatch.setattr(module, "MAX_ITERATIONS", 2)
    assert score_of(planted(1.0), task)["converged"] == 0


def test_strength_is_chosen_on_validation_alone():
    rng = np.random.default_rng(0)
    labels = {split: np.arange(60) % 2 for split in ROWS}
    features = {split: 3 * (labels[split][:, None] - 0.5) + rng.standard_normal((60, 1)) for split in ROWS}
    straight = scores_of(features, labels, 2, (1e-4, 1e-2, 1.0))
    assert (straight["C"], straight["C_at_edge"]) == (1.0, 1.0)
    # If validation labels contradict training, the strongest penalty is best; test labels do not matter.
    flipped = labels | {"validation": 1 - labels["validation"]}
    assert scores_of(features, flipped, 2, (1e-4, 1e-2, 1.0))["C"] == 1e-4
    assert scores_of(features, labels | {"test": 1 - labels["test"]}, 2, (1e-4, 1e-2, 1.0))["C"] == 1.0
    noisy = features | {"validation": 0.1 * features["validation"] + rng.standard_normal((60, 1))}
    assert scores_of(noisy, labels, 2, (1e-6, 1e-2, 1e3))["C_at_edge"] == 0


def test_macro_nll_weighs_classes_alike():
    probabilities = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0], [0.75, 0.25, 0]])
    assert macro_nll(np.array([0, 0, 0, 1]), probabilities) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert np.isfinite(macro_nll(np.array([2]), probabilities[:1]))


def test_references_without_an_embedding():
    rng = np.random.default_rng(0)
    labels = {split: rng.choice(2, rows, p=(0.7, 0.3)) for split, rows in ROWS.items()}
    tokens = {
        split: [[("sun", "rain")[label], f"w{rng.integers(50)}", "the"] for label in labels[split]] for split in labels
    }
    tokens["test"][0] = []
    labels["test"][0] = labels["test"][1]
    result = reference_scores(tokens, labels, 2)
    assert result["majority"]["accuracy"] == pytest.approx((labels["test"] == 0).mean())
    assert result["majority"]["macro_recall"] == 0.5
    assert result["tfidf_logistic"]["accuracy"] >= 1 - 1 / 600
    random = labels | {split: rng.choice(2, ROWS[split], p=(0.7, 0.3)) for split in ("train", "validation")}
    assert reference_scores(tokens, random, 2)["tfidf_logistic"]["macro_recall"] < 0.7
