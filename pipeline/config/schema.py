"""The typed configuration: every key with its type and range. Values and the meaning of each key are in conf/.

Imported by every folder, so it imports the standard library, and modules that do, alone.
"""

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pipeline.config.fields import MISSING, choice, several, within
from pipeline.config.study_schema import SearchConfig, StudyConfig

# Ids of the first two rows of every vocabulary and embedding matrix: padding, and the unknown word.
PAD, UNK = 0, 1
SPECIALS = 2

# Keys of `cbow` that choose a part of the corpus.
SELECTION = ("sources", "unlabelled_texts", "max_tokens", "without_transfer")


STANCE_TARGETS = ("abortion", "atheism", "climate", "feminist", "hillary")
TWEET_EVAL = ("emoji", "emotion", "hate", "irony", "offensive", "sentiment", *(f"stance_{x}" for x in STANCE_TARGETS))

# Names of `data.delimiter`, for characters that a shell or Hydra would interpret.
DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "space": " "}


@dataclass
class SampleConfig:
    """The generated data set (`data=sample`)."""

    labelled: int = within(30)
    unlabelled: int = within(0)
    seed: int = within(0)
    label_noise: float = within(0, 0.5)
    leak: float = within(0, 1)


@dataclass
class DataConfig:
    """Where labelled tweets come from and how they are split."""

    source: str = choice("sample", "nltk_twitter", "tweet_eval", "sentiment140", "hub", "files")
    path: str | None = MISSING
    name: str | None = MISSING
    revision: str | None = MISSING
    text_column: str = MISSING
    label_column: str = MISSING
    encoding: str = MISSING
    delimiter: str = MISSING
    quoting: str = choice("auto", "double", "backslash", "none")
    header: str = choice("auto", "true", "false")
    labels: Any = MISSING  # a list of names, or a mapping from a value of the label column to a name
    validation_size: float = within(0)
    test_size: float = within(0)
    split_seed: int = within(0)
    resplit: int | None = within(0)
    resplit_pool: list[str] = choice("train", "validation", "test")  # noqa: RUF009 - choice() makes a field
    label_budget: int | None = within(1)
    deduplicate: str = choice("none", "exact", "masked")
    sample: SampleConfig | None = None


@dataclass
class TextConfig:
    """From text to token ids."""

    tokenizer: str = choice("tweet", "course", "whitespace", "treebank")
    lowercase: bool = MISSING
    handles: str = choice("keep", "mask", "strip")
    links: str = choice("keep", "mask", "strip")
    emoticons: str = choice("keep", "strip", "strip_fragments")
    unknown: str = choice("unk", "parts")
    min_count: int = within(1)
    unlabelled_min_count: int | None = within(1)
    max_tokens: int | None = within(1)


@dataclass
class CbowConfig:
    """gensim's Word2Vec or FastText, every setting under gensim's own name, and the text it is trained on."""

    algorithm: str = choice("word2vec", "fasttext")
    use_unlabelled: bool = MISSING
    extra_text: Any = several(str, null=True)  # noqa: RUF009 - makes a field
    extra_encoding: str = MISSING
    sources: Any = several(str, null=True)  # noqa: RUF009
    unlabelled_texts: int | None = within(0)
    max_tokens: int | None = within(1)
    without_transfer: bool = MISSING
    vector_size: int = within(1)
    seed: int = within(0, 2**32 - 1)
    sg: int = within(0, 1)
    hs: int = within(0, 1)
    window: int = within(1)
    shrink_windows: bool = MISSING
    min_count: int = within(1)
    max_vocab_size: int | None = within(1)
    max_final_vocab: int | None = within(1)
    sample: float = within(0, 1)
    negative: int = within(0)
    ns_exponent: float = within(-10, 10)
    cbow_mean: int = within(0, 1)
    alpha: float = within(0, 1, above=True)  # gensim skips pairs whose score leaves [-6, 6], as with a larger rate
    min_alpha: float = within(0)
    epochs: int | None = within(1)
    batch_words: int = within(1)
    workers: int = within(1)
    min_n: int = within(0)
    max_n: int = within(0)
    bucket: int = within(1)

    @property
    def extra_texts(self) -> dict[str, str]:
        """The files of `extra_text` by the name of the source: of several, the file's name before its first dot."""
        if isinstance(self.extra_text, list):
            return {PurePath(path).name.partition(".")[0]: path for path in self.extra_text}
        return {"extra_text": self.extra_text} if self.extra_text else {}

    @property
    def selection(self) -> dict[str, Any]:
        """The keys that are set of those that choose the part of the corpus that CBOW and PPMI read."""
        values = {key: getattr(self, key) for key in SELECTION}
        return {key: value for key, value in values.items() if value is not None and value is not False}


@dataclass
class PpmiConfig:
    """Word vectors from co-occurrence counts: positive pointwise mutual information (PPMI) and a truncated SVD."""

    window: int = within(1)
    min_count: int = within(1)
    smoothing: float = within(0, 1)
    shift: float = within(1)
    eigenvalue_power: float = within(0, 1)


@dataclass
class DistillConfig:
    """Word vectors distilled from a sentence transformer."""

    model: str = MISSING
    revision: str | None = MISSING
    smoothing: float = within(0, above=True)
    batch_size: int = within(1)


@dataclass
class EmbeddingConfig:
    """The variant: the initial vectors of the embedding layer, and whether they are trained."""

    init: Any = several(str, "random", "cbow", "ppmi", "pretrained", "distilled", "run")  # noqa: RUF009 - makes a field
    trainable: Any = several(bool)  # noqa: RUF009
    projected: bool = MISSING
    anchor: float = within(0)
    dim: int = within(1)
    scale: float | None = within(0, above=True)
    path: str | None = MISSING
    format: str = choice("auto", "word2vec_text", "word2vec_binary", "glove")
    shuffled: bool = MISSING

    @property
    def inits(self) -> list[str]:
        """The init of each table, in the order of the configuration."""
        return list(self.init) if isinstance(self.init, list) else [self.init]

    @property
    def encoder_dim(self) -> int:
        """Dimensions that the encoder reads: those of all tables side by side."""
        return self.dim * len(self.inits)

    @property
    def tables(self) -> list[tuple[str, bool]]:
        """Init of each table, and whether it is trained, as they stand side by side: the frozen tables first."""
        trainable = self.trainable if isinstance(self.trainable, list) else [self.trainable] * len(self.inits)
        return sorted(zip(self.inits, trainable, strict=True), key=lambda table: bool(table[1]))


@dataclass
class ModelConfig:
    """The classifier on top of the embedding layer."""

    encoder: str = choice("mean", "meanmax", "cnn", "gru", "bigru")
    dropout: float = within(0, 0.99)
    filters: int = within(1)
    widths: list[int] = within(1)  # noqa: RUF009 - within() makes a field
    hidden: int = within(1)


@dataclass
class TrainConfig:
    """The training engine."""

    device: str = choice("auto", "cpu", "cuda")
    threads: int = within(1)
    max_epochs: int = within(1)
    max_steps: int | None = within(1)
    min_epoch_steps: int = within(1)
    batch_size: int = within(1)
    lr_embedding: float = within(0, above=True)
    lr_head: float = within(0, above=True)
    lr_schedule: str = choice("constant", "linear")
    weight_decay: float = within(0)
    clip_norm: float | None = within(0, above=True)
    class_weights: str = choice("none", "balanced")
    monitor: str = choice("accuracy", "macro_recall", "macro_f1", "nll")
    patience: int | None = within(1)


@dataclass
class ProbeConfig:
    """Probes of the embedding matrix before and after training."""

    similarity: list[str] = choice("wordsim353", "simlex999")  # noqa: RUF009 - choice() makes a field
    similarity_files: list[str] = MISSING
    neighbour_words: list[str] = MISSING
    neighbours: int = within(1)
    polarity: str = choice("auto", "sample", "nltk", "none")
    antonyms: bool = MISSING
    transfer: list[str] = choice("sample_topic", "nltk_twitter", "sentiment140", *TWEET_EVAL, located=True)  # noqa: RUF009
    transfer_path: str = MISSING

    @property
    def tasks(self) -> dict[str, str | None]:
        """The path of each task of `transfer` by its name; None: the default of its data set."""
        named = (task.partition("@") for task in self.transfer)
        return {name: path or (self.transfer_path if name in TWEET_EVAL else None) for name, _, path in named}


@dataclass
class TrackingConfig:
    """MLflow, a view of the results."""

    enabled: bool = MISSING
    uri: str | None = MISSING
    experiment: str = MISSING
    keep_embedding: bool = MISSING


@dataclass
class PathsConfig:
    """The folder of artifacts/, results/ and mlflow.db, and the folder of the copies that DVC tracks."""

    root: str | None = MISSING
    dvc: str | None = MISSING


@dataclass
class Config:
    """The whole configuration of one run."""

    data: DataConfig = MISSING
    text: TextConfig = MISSING
    cbow: CbowConfig = MISSING
    ppmi: PpmiConfig = MISSING
    distill: DistillConfig = MISSING
    embedding: EmbeddingConfig = MISSING
    model: ModelConfig = MISSING
    train: TrainConfig = MISSING
    probe: ProbeConfig = MISSING
    tracking: TrackingConfig = MISSING
    study: StudyConfig = MISSING
    search: SearchConfig = MISSING
    paths: PathsConfig = MISSING
    seed: int = within(0, 2**32 - 1)
    stage: str = choice("look", "prepare", "cbow", "train", "compare", "search", "all")
    force: bool = MISSING
    workers: int = within(1)


def data_name(data: DataConfig) -> str:
    """The data set's name, fit for a folder: its source, or the file or hub id; its configuration; the resplit."""
    parts = [data.source, data.name, None if data.resplit is None else f"resplit{data.resplit}"]
    if data.source in ("files", "hub") and data.path:
        parts[0] = re.sub(r"\.(csv|tsv|jsonl?|parquet)$", "", data.path.rstrip("/").rpartition("/")[2])
    return "-".join(re.sub(r"[^\w.]+", "_", part)[:40] for part in parts if part)
