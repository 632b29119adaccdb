"""The model card: what a trained model was made of, how good it is, what it is not for, and how it is loaded."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.note import SCORES, escape, table
from pipeline.tracking.read_record import read_record
from pipeline.tracking.run_record import StoredRun
from pipeline.tracking.score_intervals import macro_recall_interval, wilson

ENCODERS = {
    "mean": "the mean of the tweet's word vectors; word order plays no part",
    "meanmax": "mean and maximum of the tweet's word vectors; word order plays no part",
    "cnn": "convolutions over neighbouring words and their maximum",
    "gru": "a gated recurrent unit that reads the tweet from left to right",
}
EXAMPLES = ("what a lovely morning :)", "worst. service. ever.")


def registered_name(tags: dict[str, Any]) -> str:
    """The name under which models of a data set are registered in MLflow."""
    return f"tweet-sentiment-{tags['data']}"


def model_card(folder: Path, run: StoredRun | None = None) -> str:
    """Write the card of the run whose record is in `folder`, as markdown.

    run : that record, where it was read already.

    Raises OSError or ValueError where the record is not whole.
    """
    run = run or read_record(folder)
    names = run.header["label_names"]
    confusion = _confusion(folder / "confusion_matrix.csv", names)
    blocks = [
        f"# Model card: {escape(run.header['title'])}",
        *_generated(run),
        *_use(run),
        "## Data",
        *_data(run),
        "## Scores",
        *_scores(run, confusion),
        "## What it is made of",
        _parts(run),
        "## Limits",
        _limits(run),
        "## How to load it",
        _loading(run),
    ]
    return "\n\n".join(blocks) + "\n"


def _confusion(path: Path, names: list[str]) -> NDArray[np.integer]:
    """Counts (C, C) of test tweets, true labels as rows."""
    with path.open(encoding="utf-8", newline="") as stream:
        return np.array([[int(row[name]) for name in names] for row in csv.DictReader(stream)])


def _generated(run: StoredRun) -> list[str]:
    if run.header["tags"].get("generated") != "true":
        return []
    return [
        "> **TRAINED AND TESTED ON GENERATED TWEETS.** A program wrote them; no person did. The scores show that the "
        "pipeline works; the model knows nothing of real tweets. Do not use it on any."
    ]


def _use(run: StoredRun) -> list[str]:
    labels = ", ".join(f"`{escape(name)}`" for name in run.header["label_names"])
    return [
        f"Takes a raw tweet and gives one of {len(run.header['label_names'])} labels ({labels}) with a probability for "
        "each. The text is cleaned and cut into words by the model itself."
    ]


def _data(run: StoredRun) -> list[str]:
    dataset = run.header["dataset"]
    source = str(dataset.get("source", "unknown"))
    source = Path(source).name if Path(source).is_absolute() else source
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.get("rows", {}).items())
    facts = [
        f"**{escape(str(dataset.get('name', '?')))}** ({escape(source)}), fingerprint `{dataset.get('fingerprint')}`: "
        f"{counts} tweets; {dataset.get('labelled_used', 0):,} training labels were used.",
    ]
    return [*facts, "\n".join(f"- {escape(note)}" for note in run.header["notes"])] if run.header["notes"] else facts


def _scores(run: StoredRun, confusion: NDArray[np.integer]) -> list[str]:
    n, hits = int(confusion.sum()), int(np.trace(confusion))
    intervals = {"accuracy": wilson(hits, n), "macro_recall": macro_recall_interval(confusion)} if n else {}
    rows = []
    for score, meaning in SCORES.items():
        value, validation = (run.metrics.get(f"{split}/{score}") for split in ("test", "validation"))
        if value is not None:
            low_high = intervals.get(score)
            interval = f"{low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else "-"
            rows.append([f"`{score}`", f"{value:.4f}", interval, _decimal(validation), meaning])
    labels = []
    for label, name in enumerate(run.header["label_names"]):
        right, true, said = confusion[label, label], int(confusion[label].sum()), int(confusion[:, label].sum())
        shares = [_decimal(right / count if count else None) for count in (true, said)]
        labels.append([escape(name), f"{true:,}", *shares])
    return [
        table([f"measure, n = {n:,} test tweets", "test", "95 % interval", "validation", "meaning"], rows),
        "The intervals say how far a score may move with other test tweets of the same kind (Wilson; macro recall: "
        "Wilson per label, combined). The model was chosen on validation; the test tweets were read once, afterwards.",
        table(["label", "test tweets", "recall", "precision"], labels),
    ]


def _parts(run: StoredRun) -> str:
    text, embedding, encoder = run.config["text"], run.config["embedding"], run.config["model"]["encoder"]
    counts = {key: int(run.metrics.get(f"params/{key}") or 0) for key in ("total", "trainable")}
    trained = run.header["environment"]
    lines = [
        f"Embedding layer: variant `{run.header['tags'].get('variant')}` ({embedding.get('init')} start), "
        f"{embedding.get('dim')} dimensions.",
        f"Encoder: `{encoder}`, {ENCODERS.get(encoder, '')}; then one linear layer.",
        f"Parameters: {counts['total']:,}, of which {counts['trainable']:,} were trained.",
        f"Text: tokenizer `{text.get('tokenizer')}`, handles `{text.get('handles')}`, links `{text.get('links')}`, "
        f"emoticons `{text.get('emoticons')}`.",
        f"Run `{run.header['name']}`, seed {run.header['tags'].get('seed')}, code {trained.get('git_sha', 'unknown')}"
        + (" with uncommitted changes." if trained.get("git_dirty") else "."),
        "Files: safetensors, JSON, YAML. No pickle.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _limits(run: StoredRun) -> str:
    text = run.config["text"]
    cut = text.get("max_tokens")
    lines = [
        "It was tested on tweets of one data set, drawn like its training tweets. Other times, languages, topics or "
        "platforms were not tried, and may score far lower.",
        "Words outside its vocabulary all count as one unknown word.",
        "Scores of groups of people, dialects or topics were not compared. It must not decide about people.",
        "Irony, quotes and who is spoken of are beyond a model of this size.",
        "It is one run with one seed; another seed gives other mistakes.",
        f"Its probabilities are off by {_decimal(run.metrics.get('test/ece'))} on average (`ece`).",
    ]
    if cut is not None:
        lines.insert(2, f"It reads the first {cut} words of a text.")
    if text.get("emoticons") == "keep":
        lines.append("Emoticons count as words. Where they gave the data its labels, texts without them score lower.")
    if text.get("tokenizer") == "course":
        lines.append("It needs NLTK's English stop words where it runs: `python -m nltk.downloader stopwords`.")
    return "\n".join(f"- {line}" for line in lines)


def _loading(run: StoredRun) -> str:
    name = registered_name(run.header["tags"])
    uri = f"models:/{name}@champion"
    return (
        "With this project, from its folder (`--run` also takes a run's folder or id):\n\n"
        f'```\npython -m pipeline predict --run {uri} "{EXAMPLES[0]}"\n```\n\n'
        "With MLflow alone (this version if it is the champion, else its number for `@champion`):\n\n"
        f'```python\nimport mlflow\n\nmlflow.set_tracking_uri("sqlite:///mlflow.db")  # or a server\n'
        f'model = mlflow.pyfunc.load_model("{uri}")\nmodel.predict(["{EXAMPLES[0]}", "{EXAMPLES[1]}"])\n```\n\n'
        "As a service on this machine (one thread: the passes are small):\n\n"
        "```\nOMP_NUM_THREADS=1 MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve "
        f"-m {uri} --env-manager local --host 127.0.0.1 --port 5001\n"
        "curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' "
        f"""-d '{{"inputs": ["{EXAMPLES[0]}"]}}'\n```"""
    )


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
