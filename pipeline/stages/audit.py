"""The stage `audit`: duplicates, label leaks and differences between the splits."""

from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.cached_folder import Stage
from pipeline.stages.cache_keys import LIBRARIES, code_key
from pipeline.stages.cached import cached_stage

CODE = ("stages/audit.py", "evaluation/audit", "evaluation/auc.py")


def audit(config: Config, prepared: Stage) -> Stage:
    """Look for duplicates, label leaks and splits that differ; the outcome is the report."""
    key = {"prepare": prepared.key, "code": code_key(CODE, LIBRARIES["audit"])}
    return cached_stage(config, "audit", key, lambda folder: audit_splits(prepared))


def audit_splits(prepared: Stage) -> dict[str, Any]:
    """Look for duplicates, leaks and splits that differ in the outcome of `prepare`."""
    from pipeline.data.arrow import read_texts
    from pipeline.evaluation.audit.report import audit_report
    from pipeline.text.encoded_split import EncodedSplit
    from pipeline.text.vocabulary import VOCABULARY, Vocabulary

    splits = {split: EncodedSplit.open(prepared.folder, split) for split in prepared.outcome["rows"]}
    texts = {split: read_texts(prepared.folder, split) for split in splits}
    words = Vocabulary.load(prepared.folder / VOCABULARY).words
    return audit_report(texts, splits, words, prepared.outcome["label_names"])
