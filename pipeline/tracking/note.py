"""note.md of a run: what was trained, on which data, the test scores with intervals, and how to repeat it."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.variants import prose_name
from pipeline.runtime.markdown import escape, table
from pipeline.tracking.score_intervals import score_intervals

if TYPE_CHECKING:
    from pipeline.tracking.run_record import RunRecord

INITIAL_VECTORS = {
    "random": "every word vector starts as random numbers",
    "cbow": "every word vector starts from CBOW, which learns vectors without labels by predicting a word from its "
    "neighbours",
    "ppmi": "every word vector starts from PPMI: a factorized matrix of word co-occurrence counts",
    "pretrained": "every word vector starts from a file of word vectors trained elsewhere",
}
TRAINING = {
    True: "and training on the labelled tweets updates the vectors together with the classifier",
    False: "and the vectors stay frozen: training on the labelled tweets updates only the classifier above them",
}
SCORES = {
    "accuracy": "share of tweets whose label was predicted correctly",
    "macro_recall": "share of a label's tweets that were predicted as that label, averaged over the labels",
    "macro_f1": "harmonic mean of a label's precision and recall, averaged over the labels",
    "nll": "negative log-likelihood of the true label, mean over tweets (lower is better, 0 is best)",
    "ece": "expected calibration error: gap between confidence and accuracy (lower is better)",
}
FILES = {
    "metrics.json": "all metrics, unrounded",
    "predictions.parquet": "every validation and test tweet with true label, predicted label and probabilities",
    "confusion_matrix.csv / .png": "test tweets by true and predicted label",
    "history.csv, curves.png": "loss and validation scores of each epoch",
    "neighbours.csv, similarity.csv": "nearest words and word similarity before and after training",
    "embedding.safetensors, model.safetensors, vocabulary.json": "word vectors, weights of the classifier, vocabulary",
    "config.yaml, run.json, manifest.json": "configuration, machine and library versions",
}
VARIANTS = ("random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned")
VARIANT_OVERRIDES = ("+experiment=", "embedding.init=", "embedding.trainable=", "embedding=", "seed=")


def run_note(record: "RunRecord", confusion: NDArray[np.integer]) -> str:
    """Markdown about one run; `confusion` holds the test counts (C, C), true labels as rows."""
    sections = [
        [f"# {escape(record.title)}", *_warning(record), _summary(record)],
        ["## Result", *_result(record, confusion)],
        ["## The model", *_model(record)],
        ["## Word vectors before and after training", *_word_vectors(record)],
        ["## Uncertainty", *_uncertainty(record)],
        ["## How to repeat it, and its files", *_reproduction(record)],
    ]
    if record.notes:
        sections.insert(1, ["## Caveats", "\n".join(f"- {escape(note)}" for note in record.notes)])
    return "\n\n".join(block for section in sections for block in section) + "\n"


def neighbour_table(neighbours: Iterable[Mapping[str, Any]]) -> str:
    """Markdown table with one row per word: its nearest words before and after training, nearest first."""
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for row in sorted(neighbours, key=lambda row: int(row["rank"] or 0)):
        for column, nearest in (("before", before), ("after", after)):
            words = nearest.setdefault(str(row["word"]), [])
            if row.get(column) not in (None, ""):
                cosine = row.get(f"{column}_cosine")
                words.append(escape(str(row[column])) + (f" ({float(cosine):.2f})" if cosine not in (None, "") else ""))
    if not before:
        return "No words were listed for this probe.\n"
    rows = [[escape(word), ", ".join(before[word]) or "-", ", ".join(after[word]) or "-"] for word in before]
    return table(["word", "nearest before training (cosine)", "nearest after training (cosine)"], rows) + "\n"


def score_table(metrics: Mapping[str, float | None], confusion: NDArray[np.integer], *, validation: bool) -> str:
    """Markdown table of the recorded test scores with intervals and, if there are any, validation scores."""
    intervals = score_intervals(confusion)
    rows = []
    for score, meaning in SCORES.items():
        if f"test/{score}" in metrics:
            low_high = intervals.get(score)
            interval = f"{low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else "-"
            validation_score = [decimal(metrics.get(f"validation/{score}"))] if validation else []
            test_score = f"**{decimal(metrics[f'test/{score}'])}**"
            rows.append([f"`{score}`", test_score, interval, *validation_score, meaning])
    columns = ["test", "95 % interval", "validation", "meaning"] if validation else ["test", "95 % interval", "meaning"]
    return table([f"score, n = {int(confusion.sum()):,} test tweets", *columns], rows)


def decimal(value: float | None) -> str:
    """A score with four decimals."""
    return "undefined" if value is None else f"{value:.4f}"


def _warning(record: "RunRecord") -> list[str]:
    if record.tags.get("generated") != "true":
        return []
    return [
        "> **THESE TWEETS ARE GENERATED.** A program of this project wrote them. The scores show that the pipeline "
        "works. They say nothing about real tweets."
    ]


def _summary(record: "RunRecord") -> str:
    rows = record.dataset.get("rows", {})
    train, labelled = rows.get("train"), record.dataset.get("labelled_used", rows.get("train"))
    used = f"all {_count(train)}" if labelled == train else f"{_count(labelled)} of the {_count(train)}"
    names = ", ".join(f"**{escape(name)}**" for name in record.label_names)
    kind = "generated tweets" if record.tags.get("generated") == "true" else "tweets"
    selection = "There is no validation split: training ran for the configured number of epochs."
    if "validation" in rows:
        selection = f"{_count(rows['validation'])} validation tweets decided when training stopped."
    variant = record.tags.get("variant", "?")
    embedding = record.config.get("embedding", {})
    init = str(embedding.get("init"))
    return (
        f"This classifier predicts one of {len(record.label_names)} labels ({names}) for {kind}. It was trained on "
        f"{used} labelled training tweets of the data set **{escape(str(record.dataset.get('name', '?')))}** "
        f"({escape(str(record.dataset.get('source', 'source unknown')))}). {selection} "
        f"The scores come from {_count(rows.get('test'))} test tweets, which influenced no choice.\n\n"
        f"The variant is **{escape(prose_name(variant))}** (`{variant}`): "
        f"{INITIAL_VECTORS.get(init, f'every word vector starts from {init}')}, "
        f"{TRAINING[bool(embedding.get('trainable'))]}."
    )


def _result(record: "RunRecord", confusion: NDArray[np.integer]) -> list[str]:
    n, hits = int(confusion.sum()), int(np.trace(confusion))
    has_validation = "validation" in record.predictions
    lines = [score_table(record.metrics, confusion, validation=has_validation)]
    if n:
        majority = int(confusion.sum(axis=1).argmax())
        share = confusion[majority].sum() / n
        lines.append(
            f"{hits:,} of {n:,} test tweets were labelled correctly. Always predicting "
            f"“{escape(record.label_names[majority])}” would be right for {share:.1%}."
        )
    if record.chosen_epoch is not None:
        monitor = record.config.get("train", {}).get("monitor", "the validation score")
        lines.append(
            f"Training ran {len(record.history)} epochs (passes over the labelled tweets). The weights of epoch "
            f"{record.chosen_epoch} were kept, where validation `{monitor}` was best. `curves.png` shows both losses: "
            "where training loss falls while validation loss rises, the model overfits."
        )
    return lines


def _model(record: "RunRecord") -> list[str]:
    meanings = {
        "total": "all parameters of the model",
        "trainable": "parameters that training may change",
        "embedding": "parameters of the embedding layer (words × dimensions)",
    }
    rows = [
        [f"`params/{key}`", _count(record.metrics[f"params/{key}"]), meaning]
        for key, meaning in meanings.items()
        if record.metrics.get(f"params/{key}") is not None
    ]
    lines = [table(["parameters", "count", "meaning"], rows)] if rows else []
    touched = record.metrics.get("params/touched_rows")
    if touched is not None:
        vocabulary = len(record.words)
        lines.append(
            f"Touched words: {_count(touched)} of {vocabulary:,}. Training reads only the vectors of words that occur "
            f"in the labelled training tweets. The other {vocabulary - int(touched):,} vectors keep their initial "
            "values in every variant."
        )
    coverage = {
        key: value for key, value in record.metrics.items() if "coverage" in key and not key.startswith("probe/")
    }
    if coverage:
        rows = [[f"`{key}`", decimal(value)] for key, value in sorted(coverage.items())]
        lines += ["Share of the vocabulary (types) and of the training text (tokens) that has an initial word vector:"]
        lines += [table(["coverage", "share"], rows)]
    return lines or ["No parameter counts were recorded."]


def _word_vectors(record: "RunRecord") -> list[str]:
    lines = []
    if record.similarity:
        lines.append(
            "Do words that people rate as similar have similar vectors? Spearman's ρ compares the order of word pairs "
            "by cosine with their order by human rating: 1 is the same order, 0 is no relation. Its 95 % interval "
            "stands in brackets. Pairs with a word outside the vocabulary are left out."
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
        lines.append(table(["word pairs", "pairs in vocabulary", "ρ before training", "ρ after training"], rows))
    lines.append(neighbour_table(record.neighbours).rstrip())
    return lines


def _rho(row: Mapping[str, Any], value: str, low: str, high: str) -> str:
    if row.get(value) is None:
        return "undefined"
    has_interval = row.get(low) is not None and row.get(high) is not None
    return f"{row[value]:.3f}" + (f" ({row[low]:.3f} to {row[high]:.3f})" if has_interval else "")


def _uncertainty(record: "RunRecord") -> list[str]:
    seed = record.tags.get("seed", "?")
    lines = [
        "The intervals hold the uncertainty from the finite test set (accuracy: Wilson; macro recall: Wilson per "
        "label, combined by Zou and Donner's method). They do not hold the variance between seeds.",
        f"This is one run with one seed ({seed}). The seed fixes the labelled tweets of a label budget, the initial "
        "weights and the order of the batches. A comparison of variants needs several seeds:",
    ]
    settings = [word for word in record.overrides or [] if not word.startswith(VARIANT_OVERRIDES)]
    recipe = [word for word in record.overrides or [] if word.startswith("+experiment=")]
    if not recipe or recipe[0].partition("=")[2] in VARIANTS:
        variants = ["+experiment=random_trainable,cbow_frozen,cbow_finetuned"]
    else:
        variants = [*recipe, "embedding=random_trainable,cbow_frozen,cbow_finetuned"]
    lines.append(_command(["-m", *variants, "seed=0,1,2,3,4", *settings]))
    return lines


def _reproduction(record: "RunRecord") -> list[str]:
    if record.overrides is None:
        lines = ["Every setting of this run is in `config.yaml`."]
    else:
        lines = ["This command repeats the run:", _command(record.overrides)]
    git = record.environment.get("git_sha")
    if git:
        changed = " with uncommitted changes" if record.environment.get("git_dirty") else ""
        machine = f"{record.environment.get('cpu', '?')}, device {record.environment.get('device', '?')}"
        lines.append(f"Code: {git}{changed}. Machine: {escape(machine)}.")
    if record.timings:
        seconds = ", ".join(f"{key.removeprefix('time/')} {value:.1f}" for key, value in sorted(record.timings.items()))
        lines.append(f"Time: {escape(seconds)}.")
    lines.append(f"Files in `results/{record.name}/` (MLflow holds all but `embedding.safetensors`, which is large):")
    return [*lines, "\n".join(f"- `{name}`: {meaning}" for name, meaning in FILES.items())]


def _command(arguments: Sequence[str]) -> str:
    return "```\n" + " ".join(["./scripts/run", *(shlex.quote(word) for word in arguments)]) + "\n```"


def _count(value: Any) -> str:
    return "?" if value is None else f"{int(value):,}"
