"""The report's section on methods: data, choice of settings, statistics and transfer, in paragraphs."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config.schema import Config
from pipeline.runtime.templates import render


def methods(
    design: Mapping[str, Any], facts: Mapping[str, Any], config: Config, choices: Sequence[str] | None = None
) -> list[str]:
    """Paragraphs on data, runs, choices and statistics, from the design of `StudyResults` and facts of stage `prepare`.

    `choices` are paragraphs on how settings were chosen, in place of the one on learning rates.
    """
    text = render("pipeline.study.report", "methods.txt.j2", facts=facts, config=config, tasks=design["transfer"])
    data, rates, *others = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return [data, *([rates] if choices is None else choices), *others]
