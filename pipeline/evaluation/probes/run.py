"""All probes of one run: what its embedding matrix encodes before and after training, as metrics and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import Config, EmbeddingConfig
from pipeline.evaluation.probes.antonyms import antonym_sets, antonyms
from pipeline.evaluation.probes.convex import convex_note, convex_reference, is_convex
from pipeline.evaluation.probes.drift import drift, drift_by_count, labelled_counts, most_changed
from pipeline.evaluation.probes.neighbours import neighbours_before_after
from pipeline.evaluation.probes.opinion_words import opinion_words, resolve_opinion_words
from pipeline.evaluation.probes.polarity import polarity
from pipeline.evaluation.probes.similarity import Pair, RowOf, load_pairs, similarity_before_after
from pipeline.evaluation.probes.transfer import open_task, transfer_metrics
from pipeline.evaluation.probes.unseen_tokens import score_by_unseen
from pipeline.runtime.cached_folder import Stage
from pipeline.text.encoded_split import EncodedSplit
from pipeline.text.presets import build_tokenizer
from pipeline.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pipeline.classifier.engine import RunResult

Rows = list[dict[str, Any]]
MOST_CHANGED_WORDS = 40
MIN_LABELLED_COUNT = 5  # occurrences in the labelled tweets of a word listed as most changed


@dataclass
class ProbeResults:
    """Metrics named `probe/…`, the rows of tables by the name of their file, and caveats."""

    metrics: dict[str, float | None] = field(default_factory=dict)
    neighbours: Rows = field(default_factory=list)
    similarity: Rows = field(default_factory=list)
    tables: dict[str, Rows] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, probe: str, metrics: Mapping[str, float | None], **tables: Rows) -> None:
        """Add metrics under `probe/<probe>/`, and rows to tables by name."""
        self.metrics |= {f"probe/{probe}/{name}": value for name, value in metrics.items()}
        for name, rows in tables.items():
            self.tables.setdefault(name, []).extend(rows)


def probe_run(
    config: Config,
    vocabulary: Vocabulary,
    splits: Mapping[str, EncodedSplit],
    rows: NDArray[np.integer],
    known: NDArray[np.bool_],
    result: "RunResult",
    tasks: Mapping[str, Stage],
) -> ProbeResults:
    """Run every probe that `config.probe` names on the embedding matrix before and after training.

    Parameters
    ----------
    rows : the labelled training tweets used.
    known : (V,) which words started from word vectors.
    tasks : finished `transfer` stages by name.
    """
    tokenizer = build_tokenizer(config.text)

    def row_of(word: str) -> int | None:
        tokens = tokenizer(word)
        return vocabulary.id_of.get(tokens[0]) if len(tokens) == 1 else None

    initial, final, touched = result.initial_VE, result.embedding_VE, result.touched_V
    train, test = splits["train"], splits["test"]
    words, probe = vocabulary.words, config.probe
    probes = ProbeResults()

    probes.add("drift", drift(initial, final, touched))

    queries = [tokens[0] if len(tokens := tokenizer(word)) == 1 else word for word in probe.neighbour_words]
    probes.neighbours = neighbours_before_after(initial, final, words, queries, probe.neighbours)

    files = {Path(source).stem: source for source in probe.similarity_files}
    sets = {name: load_pairs(source) for name, source in ({name: name for name in probe.similarity} | files).items()}
    for name, pairs in sets.items():
        metrics, row = similarity_before_after(initial, final, pairs, row_of)
        probes.add(f"similarity/{name}", metrics)
        probes.similarity.append({"set": name} | row)
    if len(config.embedding.tables) > 1 and not config.embedding.projected:  # a projection mixes the tables
        probes.tables["embedding_tables"] = [
            _table_row(config.embedding, number, result, sets, row_of) for number in range(len(config.embedding.tables))
        ]

    if (kind := resolve_opinion_words(probe.polarity, config.data.source)) is not None:
        metrics, table = polarity(initial, final, opinion_words(kind), row_of, touched)
        probes.add("polarity", metrics, polarity=table)

    if probe.antonyms:
        for name, triples in antonym_sets(config.data.source).items():
            metrics, table = antonyms(initial, final, triples, row_of, touched)
            probes.add(f"antonyms/{name}", metrics, antonyms=[{"set": name} | row for row in table])

    counts = labelled_counts(train.ids, train.offsets, rows, len(vocabulary))
    metrics, table = drift_by_count(initial, final, counts, touched)
    probes.add("drift", metrics, drift_by_count=table)
    probes.tables["most_changed"] = most_changed(
        initial, final, words, counts, touched, MOST_CHANGED_WORDS, MIN_LABELLED_COUNT, _label_direction(result)
    )

    predictions = result.probabilities["test"].argmax(axis=1)
    metrics, table = score_by_unseen(
        test.ids, test.offsets, touched, np.asarray(test.labels), predictions, known if known.any() else None
    )
    probes.add("unseen_tokens", metrics, score_by_unseen=table)

    if is_convex(config) and (reference := convex_reference(initial, splits, rows, config.train.class_weights)):
        probes.add("convex", {score: reference[score] for score in ("accuracy", "nll")})
        if note := convex_note(reference, result, config):
            probes.notes.append(note)

    for name, task in tasks.items():
        opened = open_task(task.folder, name, len(task.outcome["label_names"]), len(vocabulary))
        transfer_scores, row = transfer_metrics(opened, initial, final)
        probes.add(f"transfer/{name}", transfer_scores, transfer=[row])
    return probes


def _table_row(
    embedding: EmbeddingConfig, number: int, result: "RunResult", sets: Mapping[str, Sequence[Pair]], row_of: RowOf
) -> dict[str, Any]:
    """One of the tables side by side: its size, its mean drift, and Spearman's ρ on each set before and after."""
    init, trainable = embedding.tables[number]
    columns = slice(number * embedding.dim, (number + 1) * embedding.dim)
    initial, final = result.initial_VE[:, columns], result.embedding_VE[:, columns]
    row: dict[str, Any] = {"init": init, "trainable": trainable, "dimensions": embedding.dim}
    row |= {"parameters": initial.size, "mean_drift": drift(initial, final, result.touched_V)["mean"]}
    for name, pairs in sets.items():
        scores = similarity_before_after(initial, final, pairs, row_of)[1]
        row |= {f"{name}_before": scores["spearman_before"], f"{name}_after": scores["spearman"]}
    return row


def _label_direction(result: "RunResult") -> NDArray[np.float32] | None:
    """The head's weights (D,) of the last label less those of the first; None where it does not read mean vectors."""
    weights = result.layers.get("head.weight")
    if weights is None or weights.shape[1] != result.embedding_VE.shape[1]:
        return None
    return np.asarray(weights[-1] - weights[0], dtype=np.float32)
