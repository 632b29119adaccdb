"""The stage `prepare`: splits, token ids, vocabulary, and the text that CBOW reads."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.schema import SPECIALS, Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import UserError
from pipeline.runtime.files import fingerprint
from pipeline.runtime.log import log, progress
from pipeline.stages.cache_keys import HUB, LIBRARIES, code_key, files_fingerprint, input_fingerprint
from pipeline.stages.cached import cached_stage

if TYPE_CHECKING:
    from pipeline.text.corpus import CorpusWriter
    from pipeline.text.parallel_tokenize import WordCounter
    from pipeline.text.presets import Preset

BATCH = 10_000
LOGGED_LABELS = 10
FROM_HUB = ("tweet_eval", "sentiment140", "hub")


def prepare(config: Config) -> Stage:
    """Load, split and encode the tweets. Variant, label budget and seed play no part: all runs on the data share it."""
    from pipeline.data.source import source_fingerprint

    data = dataclasses.asdict(config.data)
    for name in ("path", "label_budget"):
        del data[name]
    libraries = (*LIBRARIES["prepare"], *(HUB if config.data.source in FROM_HUB else ()))
    key = {
        "data": data,
        "source": source_fingerprint(config.data, partial(files_fingerprint, config)),
        "text": dataclasses.asdict(config.text),
        "unlabelled": config.cbow.use_unlabelled,
        "extra_text": {
            name: input_fingerprint(config, "cbow.extra_text", path) for name, path in config.cbow.extra_texts.items()
        },
        "extra_encoding": config.cbow.extra_encoding,
        "stop_words": stop_words_used(config),
        "code": code_key(("stages/prepare.py", "data", "text"), libraries),
    }
    prepared = cached_stage(config, "prepare", key, partial(prepare_texts, config))
    for note in prepared.outcome["notes"]:
        log.info("note: %s", note)
    return prepared


def stop_words_used(config: Config) -> str | None:
    """The fingerprint of the stop words, the only word list that a text preset takes from outside the project."""
    if config.text.tokenizer != "course":
        return None
    from pipeline.text.presets import english_stop_words

    return fingerprint(sorted(english_stop_words()))


def prepare_texts(config: Config, folder: Path) -> dict[str, Any]:
    """Write the splits, their token ids, the vocabulary and the corpus for CBOW, which all runs on the data share.

    Returns the facts that later stages and readers need.
    """
    from pipeline.data.splits import content_fingerprint, load
    from pipeline.text.corpus import CORPUS, CorpusWriter
    from pipeline.text.encoded_split import encode_splits
    from pipeline.text.presets import build_tokenizer
    from pipeline.text.vocabulary import VOCABULARY

    tokenizer = build_tokenizer(config.text)
    splits = load(config.data, folder)
    log.info("prepare: %s", ", ".join(f"{len(rows):,} {name}" for name, rows in splits.tables()))
    counts = Counter({row["values"]: row["counts"] for row in splits.train["label"].value_counts().to_pylist()})
    labels = ", ".join(f"{splits.label_names[label]} {count:,}" for label, count in counts.most_common(LOGGED_LABELS))
    others = len(counts) - LOGGED_LABELS
    log.info("prepare: training labels: %s%s", labels, f" and {others} more" if others > 0 else "")
    labelled = {name: rows for name, rows in splits.tables() if name != "unlabelled"}

    def batches(name: str) -> Iterator[tuple[list[str], list[int]]]:
        chunks = labelled[name].to_batches(max_chunksize=BATCH)
        for chunk in progress(chunks, total=len(chunks), label=f"encoding {name}", unit="batches"):
            yield chunk["text"].to_pylist(), chunk["label"].to_pylist()

    with CorpusWriter(folder / CORPUS) as corpus:
        unlabelled, texts, dropped = write_unlabelled(config, folder, list(labelled), tokenizer, corpus, splits.notes)
        text, least = config.text, config.text.unlabelled_min_count
        frequent = () if least is None else (word for word, count in unlabelled.counts().items() if count >= least)
        required, sources = (*tokenizer.reserved, *frequent), {name: batches(name) for name in labelled}
        vocabulary = encode_splits(
            *(sources, tokenizer, text.min_count, folder, config.workers),
            required_words=required,
            unknown=text.unknown,
            on_train=corpus.write,
        )
        corpus.end_source("train")
        info = corpus.info
    if len(vocabulary) <= SPECIALS:
        raise UserError(f"text.min_count={config.text.min_count}: no word of the training text occurs that often")
    vocabulary.save(folder / VOCABULARY)
    log.info("prepare: vocabulary of %s words; corpus of %s tokens", f"{len(vocabulary):,}", f"{info.tokens:,}")
    return {
        "label_names": splits.label_names,
        "generated": splits.generated,
        "notes": splits.notes,
        "rows": {name: len(rows) for name, rows in labelled.items()},
        "fingerprint": content_fingerprint(splits),
        "vocabulary": vocabulary.summary(),
        "corpus": dataclasses.asdict(info) | {"texts": {"train": len(labelled["train"]), **texts}, "dropped": dropped},
    }


def write_unlabelled(
    config: Config,
    folder: Path,
    splits: Sequence[str],
    tokenizer: "Preset",
    corpus: "CorpusWriter",
    notes: list[str],
) -> "tuple[WordCounter, dict[str, int], int]":
    """Write the configured unlabelled text into the corpus, without texts of validation and test.

    Returns the counts of its tokens (empty where no key needs them), the number of texts of each source, and the
    number of texts dropped.
    """
    from pipeline.data.arrow import in_batches, read_texts
    from pipeline.data.duplicates import digests
    from pipeline.text.parallel_tokenize import WordCounter, tokenize_batches

    sources = unlabelled_texts(config, folder, notes)
    others = [split for split in splits if split != "train"] if sources else []
    texts_held_out = (batch for split in others for batch in in_batches(read_texts(folder, split), BATCH))
    held_out = digests(texts_held_out, "masked")
    held_out.sort()
    counter = WordCounter()
    texts, dropped = dict.fromkeys(sources, 0), 0
    for name, source in sources.items():
        before = dropped
        lines = progress(source, total=None, label=f"tokenizing {name}", unit="texts")
        for tokens in tokenize_batches(in_batches(lines, BATCH), tokenizer, config.workers, held_out, with_lines=True):
            corpus.write(tokens)
            texts[name] += len(tokens)
            dropped += tokens.dropped
            if config.text.unlabelled_min_count is not None:
                counter.add(tokens)
        corpus.end_source(name)
        if name in config.cbow.extra_texts and not texts[name] and dropped == before:
            path = config.cbow.extra_texts[name]
            raise UserError(f"cbow.extra_text: {path} holds no text; expected one text per line")
        log.info("prepare: %s texts from %s", f"{texts[name]:,}", name)
    if dropped:
        log.info("prepare: left out %d unlabelled texts that are in validation or test", dropped)
    return counter, texts, dropped


def unlabelled_texts(config: Config, folder: Path, notes: list[str]) -> dict[str, Iterable[str]]:
    """The configured unlabelled text, by source; `notes` gets what is left out while it is read."""
    from pipeline.data.arrow import read_texts
    from pipeline.data.text_lines import text_lines

    sources: dict[str, Iterable[str]] = {}
    if config.cbow.use_unlabelled and (folder / "unlabelled.arrow").exists():
        sources["unlabelled"] = read_texts(folder, "unlabelled")
    encoding, column = config.cbow.extra_encoding, config.data.text_column
    for name, path in config.cbow.extra_texts.items():
        sources[name] = text_lines(Path(path), encoding, "cbow.extra_encoding", column, notes)
    return sources
