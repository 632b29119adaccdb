"""Model card of a trained model: intended use, data, scores, parameters, limits, and how to load it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.variants import prose_name
from pipeline.runtime.files import read_csv
from pipeline.runtime.markdown import escape, table
from pipeline.tracking.note import decimal, score_table
from pipeline.tracking.read_record import read_record
from pipeline.tracking.run_record import StoredRun

ENCODERS = {
    "mean": "the mean of the tweet's word vectors; word order is ignored",
    "meanmax": "mean and maximum of the tweet's word vectors; word order is ignored",
    "cnn": "convolutions over neighbouring words with max pooling",
    "gru": "a gated recurrent unit that reads the tweet from left to right",
}
EXAMPLES = ("what a lovely morning :)", "worst. service. ever.")


def registered_name(tags: dict[str, Any]) -> str:
    """The name under which models of a data set are registered in MLflow."""
    return f"tweet-sentiment-{tags['data']}"


def model_card(folder: Path, run: StoredRun | None = None) -> str:
    """Write the card of the run whose record is in `folder`, as markdown.

    run : that record, if it has been read already.

    Raises OSError or ValueError where the record is incomplete.
    """
    run = run or read_record(folder)
    names = run.header["label_names"]
    confusion = np.array([[int(row[name]) for name in names] for row in read_csv(folder / "confusion_matrix.csv")])
    blocks = [
        f"# Model card: {escape(run.header['title'])}",
        *_generated(run),
        _use(run),
        "## Data",
        *_data(run),
        "## Scores",
        *_scores(run, confusion),
        "## Components",
        _components(run),
        "## Limits",
        _limits(run),
        "## How to load it",
        _loading(run),
    ]
    return "\n\n".join(blocks) + "\n"


def _generated(run: StoredRun) -> list[str]:
    if run.header["tags"].get("generated") != "true":
        return []
    return [
        "> **TRAINED AND TESTED ON GENERATED TWEETS.** A program wrote them. The scores show that the pipeline works; "
        "the model has seen no real tweet. Do not use it on real tweets."
    ]


def _use(run: StoredRun) -> str:
    labels = ", ".join(f"`{escape(name)}`" for name in run.header["label_names"])
    return (
        f"The input is a raw tweet. The output is one of {len(run.header['label_names'])} labels ({labels}) and a "
        "probability for each. The model cleans and tokenizes the text itself."
    )


def _data(run: StoredRun) -> list[str]:
    dataset = run.header["dataset"]
    source = str(dataset.get("source", "unknown"))
    source = Path(source).name if Path(source).is_absolute() else source
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset.get("rows", {}).items())
    facts = [
        f"**{escape(str(dataset.get('name', '?')))}** ({escape(source)}), fingerprint `{dataset.get('fingerprint')}`: "
        f"{counts} tweets; {dataset.get('labelled_used', 0):,} training labels were used."
    ]
    return [*facts, "\n".join(f"- {escape(note)}" for note in run.header["notes"])] if run.header["notes"] else facts


def _scores(run: StoredRun, confusion: NDArray[np.integer]) -> list[str]:
    scores = {key: value for key, value in run.metrics.items() if value is not None}
    has_validation = any(key.startswith("validation/") for key in scores)
    labels = []
    for label, name in enumerate(run.header["label_names"]):
        hits, true, predicted = confusion[label, label], int(confusion[label].sum()), int(confusion[:, label].sum())
        shares = [decimal(hits / count if count else None) for count in (true, predicted)]
        labels.append([escape(name), f"{true:,}", *shares])
    return [
        score_table(scores, confusion, validation=has_validation),
        "The intervals hold the uncertainty from the finite test set (accuracy: Wilson; macro recall: Wilson per "
        "label, combined). The model was chosen on validation. The test tweets were read once, afterwards.",
        table(["label", "test tweets", "recall", "precision"], labels),
    ]


def _components(run: StoredRun) -> str:
    text, embedding, encoder = run.config["text"], run.config["embedding"], run.config["model"]["encoder"]
    tags, environment = run.header["tags"], run.header["environment"]
    counts = {key: int(run.metrics.get(f"params/{key}") or 0) for key in ("total", "trainable")}
    variant = str(tags.get("variant"))
    lines = [
        f"Embedding layer: {escape(prose_name(variant))} (`{variant}`), {embedding.get('dim')} dimensions.",
        f"Encoder: `{encoder}`, {ENCODERS.get(encoder, '')}; then one linear layer.",
        f"Parameters: {counts['total']:,}, of which {counts['trainable']:,} were trained.",
        f"Text: tokenizer `{text.get('tokenizer')}`, handles `{text.get('handles')}`, links `{text.get('links')}`, "
        f"emoticons `{text.get('emoticons')}`.",
        f"Run `{run.header['name']}`, seed {tags.get('seed')}, code {environment.get('git_sha', 'unknown')}"
        + (" with uncommitted changes." if environment.get("git_dirty") else "."),
        "Files: safetensors, JSON, YAML. No pickle.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _limits(run: StoredRun) -> str:
    text = run.config["text"]
    max_tokens = text.get("max_tokens")
    lines = [
        "Its test tweets come from the same data set as its training tweets. Scores on other times, languages, topics "
        "or platforms were not measured and may be far lower.",
        "All words outside its vocabulary share one vector.",
        "Scores by groups of people, dialects or topics were not compared. Do not use it for decisions about people.",
        "A model of this size does not recognize irony, quotations or the person that a text is about.",
        "It is one run with one seed. Another seed makes other mistakes.",
        f"Its confidence differs from its accuracy by {decimal(run.metrics.get('test/ece'))} on average (`ece`).",
    ]
    if max_tokens is not None:
        lines.insert(2, f"It reads the first {max_tokens} tokens of a text.")
    if text.get("emoticons") == "keep":
        lines.append("Emoticons are tokens. If the data got its labels from emoticons, texts without them score lower.")
    if text.get("tokenizer") == "course":
        lines.append("It needs NLTK's English stop words: `python -m nltk.downloader stopwords`.")
    return "\n".join(f"- {line}" for line in lines)


def _loading(run: StoredRun) -> str:
    name = registered_name(run.header["tags"])
    uri = f"models:/{name}@champion"
    return (
        "With this project, from its folder (`--run` also takes a run's folder or id):\n\n"
        f'```\npython -m pipeline predict --run {uri} "{EXAMPLES[0]}"\n```\n\n'
        "With MLflow alone (`@champion` names the best version; `/NUMBER` in its place names any other):\n\n"
        f'```python\nimport mlflow\n\nmlflow.set_tracking_uri("sqlite:///mlflow.db")  # or a server\n'
        f'model = mlflow.pyfunc.load_model("{uri}")\nmodel.predict(["{EXAMPLES[0]}", "{EXAMPLES[1]}"])\n```\n\n'
        "As a service on this machine (one thread is fastest for batches this small):\n\n"
        "```\nOMP_NUM_THREADS=1 MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve "
        f"-m {uri} --env-manager local --host 127.0.0.1 --port 5001\n"
        "curl http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' "
        f"""-d '{{"inputs": ["{EXAMPLES[0]}"]}}'\n```"""
    )
