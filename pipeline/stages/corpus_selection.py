"""The part of the corpus that CBOW and PPMI read: by source, as a sample, without texts of transfer tasks."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.literals import value_text
from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import UserError, nearest
from pipeline.runtime.log import log
from pipeline.stages.cache_keys import HUB, LIBRARIES, code_key, files_fingerprint
from pipeline.stages.inputs import task_in_errors

CODE = ("stages/corpus_selection.py", "evaluation/probes/transfer_tasks.py")
SEED = 0  # of the order in which texts are sampled: a smaller sample is part of a larger one
TRAIN = "train"


def check_selection(config: Config, prepared: Stage) -> None:
    """Raise UserError where the corpus lacks one of `cbow.sources`, or has fewer texts or tokens than are asked for."""
    cbow, corpus = config.cbow, prepared.outcome["corpus"]["sources"]
    names = [name for name, _, _ in corpus]
    for name in selected_sources(config, names):
        if name not in names:
            known = f"no source of the corpus ({', '.join(names)})"
            raise UserError(f"cbow.sources={value_text(cbow.sources)}: '{name}' is {known}{nearest(name, names)}")
    sources = [row for row in corpus if row[0] in selected_sources(config, names)]
    _require("unlabelled_texts", cbow.unlabelled_texts, sum(lines for name, lines, _ in sources if name != TRAIN))
    _require("max_tokens", cbow.max_tokens, sum(tokens for _, _, tokens in sources))


def selection_key(config: Config, prepared: Stage) -> dict[str, Any]:
    """What determines the part of the corpus that is read; empty where all of it is. Raises as `check_selection`."""
    if not config.cbow.selection:
        return {}
    check_selection(config, prepared)
    key = {**config.cbow.selection, "corpus": prepared.outcome["corpus"]["sources"]}
    libraries = LIBRARIES["prepare"]
    if config.cbow.without_transfer:
        from pipeline.evaluation.probes.transfer_tasks import task_fingerprint

        files, tasks = partial(files_fingerprint, config), {}
        for name, path in config.probe.tasks.items():
            with task_in_errors(config, name):
                tasks[name] = task_fingerprint(name, path, config.data.sample, files)
        key, libraries = {**key, "prepare": prepared.key, "tasks": tasks}, [*libraries, *HUB]
    return {"selection": {**key, "code": code_key(CODE, libraries)}}


@contextmanager
def selected_corpus(config: Config, prepared: Stage, folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The corpus file to read, and what it holds: `texts` by source and `left_out`, the number of texts of tasks.

    The file is that of `prepare` where no key chooses a part, and the facts are empty; else it lies in `folder` until
    the context ends. Texts stay in their order. Raises UserError where there are fewer texts or tokens than asked for.
    """
    import numpy as np

    from pipeline.text.corpus import CORPUS

    corpus, cbow, whole = prepared.outcome["corpus"]["sources"], config.cbow, prepared.folder / CORPUS
    if not cbow.selection:
        yield whole, {}
        return
    names = [name for name, _, _ in corpus]
    source_N = np.repeat(np.arange(len(names)), [lines for _, lines, _ in corpus])
    excluded = task_lines(config, folder) if cbow.without_transfer else set()
    with whole.open("rb") as stream:
        rows = ((line.count(b" ") + 1, line in excluded) for line in stream)
        tokens_N, excluded_N = np.fromiter(rows, np.dtype((np.int64, 2)), len(source_N)).T
    selected_N = np.isin(source_N, [names.index(name) for name in selected_sources(config, names)])
    left_out = int(excluded_N[selected_N].sum())
    selected_N &= excluded_N == 0
    order_N = np.random.default_rng(SEED).permutation(len(source_N))
    if cbow.unlabelled_texts is not None:
        sampled = order_N[(selected_N & (source_N != names.index(TRAIN)))[order_N]]
        _require("unlabelled_texts", cbow.unlabelled_texts, len(sampled))
        selected_N[sampled[cbow.unlabelled_texts :]] = False
    if cbow.max_tokens is not None:
        sampled = order_N[selected_N[order_N]]
        ends = np.cumsum(tokens_N[sampled])
        _require("max_tokens", cbow.max_tokens, int(ends[-1]) if len(ends) else 0)
        selected_N[sampled[np.searchsorted(ends, cbow.max_tokens, side="right") :]] = False
    counts = np.bincount(source_N[selected_N], minlength=len(names)).tolist()
    texts = {name: count for name, count in zip(names, counts, strict=True) if count}
    log.info(
        "cbow: reads %s tokens of %s", f"{tokens_N[selected_N].sum():,}",
        " and ".join(f"{count:,} texts from {name}" for name, count in texts.items()),
    )  # fmt: skip
    file = folder / CORPUS
    with whole.open("rb") as stream, file.open("wb") as part:
        part.writelines(line for line, selected in zip(stream, selected_N.tolist(), strict=True) if selected)
    try:
        yield file, {"texts": texts} | ({"left_out": left_out} if cbow.without_transfer else {})
    finally:
        file.unlink()


def selected_sources(config: Config, names: list[str]) -> list[str]:
    """The sources that `cbow.sources` names; all of `names` where it is null."""
    sources = config.cbow.sources
    return names if sources is None else sources if isinstance(sources, list) else [sources]


def task_lines(config: Config, folder: Path) -> set[bytes]:
    """The texts of the transfer tasks as lines of a corpus: their tokens; `folder` holds temporary files."""
    from pipeline.evaluation.probes.transfer_tasks import load_task
    from pipeline.text.presets import build_tokenizer

    tokenizer, lines = build_tokenizer(config.text), set()
    for name, path in config.probe.tasks.items():
        with task_in_errors(config, name):
            task = load_task(name, path, config.data.sample, folder)
        texts = (text for rows in task.splits.values() for text in rows.texts)
        lines |= {f"{' '.join(tokenizer(text))}\n".encode() for text in texts}
    return lines


def _require(key: str, size: int | None, available: int) -> None:
    """Raise UserError where the keys leave fewer texts or tokens than `size`, the value of `key`."""
    if size is not None and size > available:
        unit = "tokens" if key == "max_tokens" else "unlabelled texts"
        raise UserError(f"cbow.{key}={size}: there are {available:,} {unit} to read; expected at most that, or null")
