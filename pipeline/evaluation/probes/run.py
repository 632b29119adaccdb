"""Every probe of one finished run, before and after training: metrics and tables for its record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import Config
from pipeline.evaluation.probes.antonyms import antonym_sets, antonyms
from pipeline.evaluation.probes.drift import drift
from pipeline.evaluation.probes.drift_by_word import drift_by_band, labelled_counts, most_changed
from pipeline.evaluation.probes.neighbours import before_after
from pipeline.evaluation.probes.opinion_words import opinion_words, resolve_opinion_words
from pipeline.evaluation.probes.polarity import polarity
from pipeline.evaluation.probes.similarity import load_pairs, similarity
from pipeline.evaluation.probes.unseen_tokens import score_by_unseen
from pipeline.runtime.cached_folder import Stage
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.classifier.engine import RunResult

Normalize = Callable[[str], str | None]
Metrics = dict[str, float | None]
Rows = list[dict[str, Any]]
MOST_CHANGED, ENOUGH = 40, 5  # words listed, and labelled occurrences that earn a place


@dataclass
class ProbeResults:
    """What the probes found: metrics named `probe/…`, and tables by file name."""

    metrics: Metrics = field(default_factory=dict)
    neighbours: Rows = field(default_factory=list)
    similarity: Rows = field(default_factory=list)
    tables: dict[str, Rows] = field(default_factory=dict)

    def add(self, prefix: str, metrics: Mapping[str, float | None]) -> None:
        """Take metrics over under `probe/<prefix>/`."""
        self.metrics |= {f"probe/{prefix}/{key}": value for key, value in metrics.items()}


def probe_run(
    config: Config,
    vocabulary: Vocabulary,
    splits: Mapping[str, EncodedSplit],
    rows: NDArray[np.integer],
    known: NDArray[np.bool_],
    result: "RunResult",
    tasks: Mapping[str, Stage],
) -> ProbeResults:
    """Ask everything that `config.probe` names of the embedding before and after training.

    Parameters
    ----------
    rows : the labelled training tweets used. known : (V,) rows that started from word vectors.
    tasks : finished `transfer` stages by name.
    """
    tokenizer = build_tokenizer(config.text)

    def token_of(word: str) -> str | None:
        tokens = tokenizer(word)
        return tokens[0] if len(tokens) == 1 else None

    initial, final, seen = result.initial_VE, result.embedding_VE, result.touched_V
    probes = ProbeResults()
    probes.add("drift", drift(initial, final, seen))
    queries = [token_of(word) or word for word in config.probe.neighbour_words]
    probes.neighbours = before_after(initial, final, vocabulary.words, queries, config.probe.neighbours)
    for source in (*config.probe.similarity, *config.probe.similarity_files):
        _similarity(probes, config, source, initial, final, vocabulary, token_of)

    kind = resolve_opinion_words(config.probe.polarity, config.data.source)
    if kind is not None:
        metrics, table = polarity(initial, final, opinion_words(kind), vocabulary.id_of, token_of, seen)
        probes.add("polarity", metrics)
        probes.tables["polarity"] = table
    if config.probe.antonyms:
        probes.tables["antonyms"] = []
        for name, triples in antonym_sets(config.data.source).items():
            metrics, table = antonyms(initial, final, triples, vocabulary.id_of, token_of, seen)
            probes.add(f"antonyms/{name}", metrics)
            probes.tables["antonyms"] += [{"set": name} | row for row in table]

    train, test = splits["train"], splits["test"]
    counts = labelled_counts(train.ids, train.offsets, rows, len(vocabulary))
    metrics, probes.tables["drift_by_count"] = drift_by_band(initial, final, counts, seen)
    probes.add("drift", metrics)
    probes.tables["most_changed"] = most_changed(
        initial, final, vocabulary.words, counts, seen, MOST_CHANGED, ENOUGH, _upwards(result)
    )
    metrics, probes.tables["score_by_unseen"] = score_by_unseen(
        test.ids,
        test.offsets,
        seen,
        np.asarray(test.labels),
        result.probabilities["test"].argmax(axis=1),
        known if known.any() else None,
    )
    probes.add("unseen_tokens", metrics)
    if tasks:
        from pipeline.evaluation.probes.transfer import open_task, transfer_metrics

        opened = {
            name: open_task(task.folder, name, len(task.outcome["label_names"]), len(vocabulary))
            for name, task in tasks.items()
        }
        probes.metrics |= transfer_metrics(opened, initial, final)
    return probes


def _upwards(result: "RunResult") -> NDArray[np.float32] | None:
    """The direction from the first label to the last, where the head reads mean rows as they are."""
    weights = result.layers.get("head.weight")
    if weights is None or weights.shape[1] != result.embedding_VE.shape[1]:
        return None
    return np.asarray(weights[-1] - weights[0], dtype=np.float32)


def _similarity(
    probes: ProbeResults,
    config: Config,
    source: str,
    initial: NDArray[np.float32],
    final: NDArray[np.float32],
    vocabulary: Vocabulary,
    token_of: Normalize,
) -> None:
    pairs = load_pairs(source)
    before, after = (similarity(matrix, vocabulary.id_of, pairs, token_of) for matrix in (initial, final))
    name = Path(source).stem if source in config.probe.similarity_files else source
    found: Metrics = {key: after[key] for key in ("spearman", "coverage", "n")}
    probes.add(f"similarity/{name}", found | {"spearman_before": before["spearman"]})
    probes.similarity.append(
        {
            "set": name,
            "n": after["n"],
            "pairs": len(pairs),
            "coverage": after["coverage"],
            "spearman_before": before["spearman"],
            "before_low": before["spearman_low"],
            "before_high": before["spearman_high"],
            "spearman": after["spearman"],
            "low": after["spearman_low"],
            "high": after["spearman_high"],
        }
    )
