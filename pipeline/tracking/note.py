"""The note of a run: what was done and what came out, for a reader who knows none of the words."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.score_intervals import macro_recall_interval, wilson

if TYPE_CHECKING:
    from pipeline.tracking.run_record import RunRecord

START = {
    "random": "every word starts as a list of random numbers",
    "cbow": "every word starts from CBOW, a method that learns word vectors by guessing a word from its neighbours "
    "and needs no labels",
    "pretrained": "every word starts from a file of word vectors that others trained",
}
MOVES = {
    True: "and all of these vectors change while the classifier learns from the labelled tweets",
    False: "and these vectors stay as they are: only the classifier above them learns from the labelled tweets",
}
SCORES = {
    "accuracy": "share of tweets given the right label",
    "macro_recall": "share of each label's tweets that were found, averaged over the labels",
    "macro_f1": "balance of finding a label's tweets and not giving it to others, averaged over the labels",
    "nll": "how surprised the classifier is by the right answer (lower is better, 0 is never surprised)",
    "ece": "gap between how sure it is and how often it is right (lower is better)",
}
FILES = {
    "metrics.json": "every number, unrounded",
    "predictions.parquet": "every validation and test tweet with its label, the prediction and the probabilities",
    "confusion_matrix.csv / .png": "which label was taken for which",
    "history.csv, curves.png": "how training went, epoch by epoch",
    "neighbours.csv, similarity.csv": "what the word vectors know, before and after training",
    "embedding.safetensors, model.safetensors, vocabulary.json": "the word vectors, the classifier and the words",
    "config.yaml, run.json, manifest.json": "every setting, the machine and the library versions",
}
VARIANTS = ("random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned")
VARIANT_OVERRIDES = ("+experiment=", "embedding.init=", "embedding.trainable=", "embedding=", "seed=")


def run_note(record: "RunRecord", confusion: NDArray[np.integer]) -> str:
    """Markdown about one run; `confusion` holds the test counts (C, C), true labels as rows."""
    sections = [
        [f"# {escape(record.title)}", *_warning(record), _what(record)],
        ["## Result", *_result(record, confusion)],
        ["## The model", *_model(record)],
        ["## What the word vectors know", *_vectors(record)],
        ["## How sure is this?", *_certainty(record)],
        ["## Again, and where things are", *_again(record)],
    ]
    if record.notes:
        sections.insert(1, ["## Mind this", "\n".join(f"- {escape(note)}" for note in record.notes)])
    return "\n\n".join(block for section in sections for block in section) + "\n"


def neighbour_table(neighbours: Iterable[Mapping[str, Any]]) -> str:
    """Markdown table with one row per word: its nearest words before and after training, nearest first."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for row in sorted(neighbours, key=lambda row: int(row["rank"] or 0)):
        for column, found in (("before", before), ("after", after)):
            words = found.setdefault(str(row["word"]), [])
            if row.get(column) not in (None, ""):
                cosine = row.get(f"{column}_cosine")
                words.append(escape(str(row[column])) + (f" ({float(cosine):.2f})" if cosine not in (None, "") else ""))
    if not before:
        return "No word was asked for.\n"
    rows = [[escape(word), ", ".join(before[word]) or "-", ", ".join(after[word]) or "-"] for word in before]
    return table(["word", "nearest before training (cosine)", "nearest after training (cosine)"], rows) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Build a markdown table from cells that are markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape(text: str) -> str:
    """Quote text so that markdown shows it literally, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", " ".join(text.split()))


def _warning(record: "RunRecord") -> list[str]:
    if record.tags.get("generated") != "true":
        return []
    return [
        "> **THESE TWEETS ARE GENERATED.** A program of this project wrote them; no person did. The numbers below show "
        "that the pipeline works. They say nothing about real tweets."
    ]


def _what(record: "RunRecord") -> str:
    rows = record.dataset.get("rows", {})
    train, labelled = rows.get("train"), record.dataset.get("labelled_used", rows.get("train"))
    used = f"all {_count(train)}" if labelled == train else f"{_count(labelled)} of the {_count(train)}"
    names = ", ".join(f"**{escape(name)}**" for name in record.label_names)
    kind = "generated tweets" if record.tags.get("generated") == "true" else "tweets"
    start, moves = _variant(record)
    chosen = "No tweets were set aside to decide when to stop: training ran as long as it was told."
    if "validation" in rows:
        chosen = f"Another {_count(rows['validation'])} tweets decided when to stop."
    return (
        f"A classifier learned to give {kind} one of {len(record.label_names)} labels ({names}) from {used} labelled "
        f"training tweets of the data set **{escape(str(record.dataset.get('name', '?')))}** "
        f"({escape(str(record.dataset.get('source', 'source unknown')))}). "
        f"{chosen} {_count(rows.get('test'))} tweets that nothing was chosen on gave the result.\n\n"
        f"The variant **{escape(record.tags.get('variant', '?'))}** means: {start}, {moves}."
    )


def _variant(record: "RunRecord") -> tuple[str, str]:
    embedding = record.config.get("embedding", {})
    init = str(embedding.get("init"))
    return START.get(init, f"every word starts from {init}"), MOVES[bool(embedding.get("trainable"))]


def _result(record: "RunRecord", confusion: NDArray[np.integer]) -> list[str]:
    n, hits = int(confusion.sum()), int(np.trace(confusion))
    intervals = {"accuracy": wilson(hits, n), "macro_recall": macro_recall_interval(confusion)} if n else {}
    rows = []
    for score, meaning in SCORES.items():
        if f"test/{score}" in record.metrics:
            low_high = intervals.get(score)
            interval = f"{low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else "-"
            validation = _decimal(record.metrics.get(f"validation/{score}"))
            value = _decimal(record.metrics[f"test/{score}"])
            chosen_on = [validation] if "validation" in record.predictions else []
            rows.append([f"`{score}`", f"**{value}**", interval, *chosen_on, meaning])
    validated = ["validation"] if "validation" in record.predictions else []
    lines = [table([f"measure, n = {n:,} test tweets", "test", "95 % interval", *validated, "meaning"], rows)]
    if n:
        most = int(confusion.sum(axis=1).argmax())
        share = confusion[most].sum() / n
        lines.append(
            f"{hits:,} of {n:,} test tweets got the right label. Always answering "
            f"“{escape(record.label_names[most])}” would be right for {share:.1%}."
        )
    if record.chosen_epoch is not None:
        monitor = record.config.get("train", {}).get("monitor", "the validation score")
        lines.append(
            f"Training ran {len(record.history)} epochs (passes over the labelled tweets); the weights of epoch "
            f"{record.chosen_epoch} were kept, where validation `{monitor}` was best. `curves.png` shows the way: "
            "training loss that falls while validation loss rises is learning by heart."
        )
    return lines


def _model(record: "RunRecord") -> list[str]:
    rows = []
    meanings = {
        "total": "numbers the model is made of",
        "trainable": "of these, numbers that training may change",
        "embedding": "of all numbers, those that are word vectors (words times dimensions)",
    }
    for key, meaning in meanings.items():
        if record.metrics.get(f"params/{key}") is not None:
            rows.append([f"`params/{key}`", _count(record.metrics[f"params/{key}"]), meaning])
    lines = [table(["parameters", "count", "meaning"], rows)] if rows else []
    touched = record.metrics.get("params/touched_rows")
    if touched is not None:
        vocabulary = len(record.words)
        lines.append(
            f"Touched rows: {_count(touched)} of {vocabulary:,}. Only the vectors of words that occur in the labelled "
            f"training tweets are ever read in training; rows of other words ({vocabulary - int(touched):,}) keep "
            "their start, whatever the variant."
        )
    coverage = {
        key: value for key, value in record.metrics.items() if "coverage" in key and not key.startswith("probe/")
    }
    if coverage:
        rows = [[f"`{key}`", _decimal(value)] for key, value in sorted(coverage.items())]
        lines += ["Share of the vocabulary (types) and of the running text (tokens) that the start vectors know:"]
        lines += [table(["coverage", "share"], rows)]
    return lines or ["No parameter counts were recorded."]


def _vectors(record: "RunRecord") -> list[str]:
    lines = []
    if record.similarity:
        lines.append(
            "Do words that people call similar have similar vectors? ρ (Spearman) is 1 for the same order of word "
            "pairs as people give, 0 for no relation; in brackets its 95 % interval. Pairs with a word outside the "
            "vocabulary are left out."
        )
        rows = [
            [
                escape(str(row.get("set"))),
                f"{_count(row.get('n'))} of {_count(row.get('pairs'))}",
                _rho(row, "spearman_before", "before_low", "before_high"),
                _rho(row, "spearman", "low", "high"),
            ]
            for row in record.similarity
        ]
        lines.append(table(["word pairs", "pairs known", "ρ before training", "ρ after training"], rows))
    lines.append(neighbour_table(record.neighbours).rstrip())
    return lines


def _rho(row: Mapping[str, Any], value: str, low: str, high: str) -> str:
    if row.get(value) is None:
        return "undefined"
    known = row.get(low) is not None and row.get(high) is not None
    return f"{row[value]:.3f}" + (f" ({row[low]:.3f} to {row[high]:.3f})" if known else "")


def _certainty(record: "RunRecord") -> list[str]:
    seed = record.tags.get("seed", "?")
    lines = [
        "The intervals say how far the result may move with other test tweets of the same kind (accuracy: Wilson; "
        "macro recall: Wilson per label, combined by Zou and Donner's method). They do not hold what another seed "
        "would change.",
        f"This is one run with one seed ({seed}). Which tweets a label budget picks, the random start and the order "
        "of the batches all depend on the seed. A comparison of variants needs several:",
    ]
    kept = [word for word in record.overrides or [] if not word.startswith(VARIANT_OVERRIDES)]
    recipe = [word for word in record.overrides or [] if word.startswith("+experiment=")]
    if not recipe or recipe[0].partition("=")[2] in VARIANTS:
        variants = ["+experiment=random_trainable,cbow_frozen,cbow_finetuned"]
    else:
        variants = [*recipe, "embedding=random_trainable,cbow_frozen,cbow_finetuned"]
    lines.append(_command(["-m", *variants, "seed=0,1,2,3,4", *kept]))
    return lines


def _again(record: "RunRecord") -> list[str]:
    if record.overrides is None:
        lines = ["Every setting of this run is in `config.yaml`."]
    else:
        lines = ["This command gives the same run:", _command(record.overrides)]
    git = record.environment.get("git_sha")
    if git:
        changed = " with uncommitted changes" if record.environment.get("git_dirty") else ""
        machine = f"{record.environment.get('cpu', '?')}, device {record.environment.get('device', '?')}"
        lines.append(f"Code: {git}{changed}. Machine: {escape(machine)}.")
    if record.timings:
        spent = ", ".join(f"{key.removeprefix('time/')} {value:.1f}" for key, value in sorted(record.timings.items()))
        lines.append(f"Time: {escape(spent)}.")
    lines.append(f"Files, in `results/{record.name}/` (MLflow shows all but `embedding.safetensors`, which is large):")
    return [*lines, "\n".join(f"- `{name}`: {meaning}" for name, meaning in FILES.items())]


def _command(arguments: Sequence[str]) -> str:
    return "```\n" + " ".join(["./scripts/run", *(shlex.quote(word) for word in arguments)]) + "\n```"


def _count(value: Any) -> str:
    return "?" if value is None else f"{int(value):,}"


def _decimal(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
