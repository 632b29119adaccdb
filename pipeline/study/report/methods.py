"""The report's section on methods: data, choice of settings, statistics and transfer, in paragraphs."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined

from pipeline.config.schema import Config
from pipeline.study.report.formatting import page_file


def methods(
    design: Mapping[str, Any], facts: Mapping[str, Any], config: Config, choices: Sequence[str] | None = None
) -> list[str]:
    """Paragraphs on data, runs, choices and statistics.

    Parameters
    ----------
    design : of `StudyResults`. facts : of the stage `prepare`.
    choices : paragraphs on how settings were chosen, in place of the one on learning rates.
    """
    template = Environment(undefined=StrictUndefined, trim_blocks=True).from_string(page_file("methods.txt.j2"))
    text = template.render(facts=facts, config=config, tasks=design["transfer"])
    data, rates, *others = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return [data, *([rates] if choices is None else choices), *others]
