"""The stage `transfer`: the tweets of another task, encoded with the vocabulary of this one."""

from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.schema import TWEET_EVAL, Config
from pipeline.runtime.cached_folder import Stage
from pipeline.stages.cache_keys import HUB, LIBRARIES, code_key, files_fingerprint
from pipeline.stages.cached import cached_stage
from pipeline.stages.inputs import task_in_errors
from pipeline.stages.prepare import unlabelled_texts

CODE = ("stages/transfer.py", "evaluation/probes/transfer.py", "evaluation/probes/transfer_tasks.py")


def transfer(config: Config, prepared: Stage, task: str) -> Stage:
    """Encode another task's tweets with the vocabulary of this one; all runs on the data share it."""
    from pipeline.evaluation.probes.transfer_tasks import task_fingerprint

    libraries = (*LIBRARIES["transfer"], *(HUB if task in (*TWEET_EVAL, "sentiment140") else ()))
    path, files = config.probe.tasks[task], partial(files_fingerprint, config)
    with task_in_errors(config, task):
        source = task_fingerprint(task, path, config.data.sample, files)
    key = {"prepare": prepared.key, "task": source, "code": code_key(CODE, libraries)}
    return cached_stage(config, "transfer", key, partial(encode_transfer, config, prepared, task))


def encode_transfer(config: Config, prepared: Stage, task: str, folder: Path) -> dict[str, Any]:
    """Encode another task's tweets with the vocabulary of this one, and count those that this one has read."""
    from pipeline.data.arrow import read_texts
    from pipeline.evaluation.probes.transfer_tasks import task_text, write_task
    from pipeline.text.presets import build_tokenizer
    from pipeline.text.vocabulary import VOCABULARY, Vocabulary

    read = {"train": read_texts(prepared.folder, "train"), **unlabelled_texts(config, prepared.folder, [])}
    vocabulary = Vocabulary.load(prepared.folder / VOCABULARY)
    tokenizer, path = build_tokenizer(task_text(task, config.text)), config.probe.tasks[task]
    with task_in_errors(config, task):
        return write_task(task, path, config.data.sample, tokenizer, vocabulary, read, folder)
