"""All sections of a report in order, with titles and reading guides; sections without data are left out."""

from collections.abc import Callable, Sequence

from pipeline.study.report.blocks import Block, Page, Part, Section, table_of
from pipeline.study.report.figures.all import Figure
from pipeline.study.report.formatting import TEXTS
from pipeline.study.report.phrases import effect_text
from pipeline.study.report.sections import scores, words
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import environment_table

Blocks = Callable[[StudyResults], Sequence[Block]]
# key, title, reading guide, names of the figures that open the section, the blocks after them
SectionSpec = tuple[str, str, str, tuple[str, ...], Blocks]
BLOCKS: dict[str, Blocks] = {
    "differences": scores.differences,
    "resplits": scores.resplits,
    "label-budgets": scores.label_budgets,
    "parameters": scores.parameters,
    "amounts": scores.amounts,
    "factorial": scores.factorial,
    "probes": words.probes,
    "transfer": words.transfer,
    "drift": words.drift,
    "map": lambda results: [Part("map", results.words_map)] if results.words_map.get("variants") else [],
    "unknown-words": words.unknown,
    "confusion": scores.confusion,
    "examples": words.examples,
    "audit": words.audit,
    "learning-rates": scores.trials,
    "baselines": scores.baselines,
    "failures": scores.failures,
    "methods": lambda results: [Part("text", paragraph) for paragraph in results.methods],
    "commands": lambda results: [Part("commands", results.commands)] if results.commands else [],
    "environment": lambda results: table_of("Libraries and machine", environment_table(results.environment)),
}
SECTIONS: list[SectionSpec] = [
    (key, section["title"], section["guide"], tuple(section.get("figures", ())), BLOCKS[key])
    for key, section in TEXTS["sections"].items()
]


def report_page(results: StudyResults, figures: Sequence[Figure], extra: Sequence[SectionSpec] = ()) -> Page:
    """The report's content: `extra` sections, then SECTIONS in order, each opened by its figures."""
    specs = [*extra, *SECTIONS]
    plots = {figure.name: Part("plot", figure) for figure in figures}
    sections = []
    for key, title, guide, names, section_blocks in specs:
        blocks = [*(plots[name] for name in names if name in plots), *section_blocks(results)]
        if blocks:
            sections.append(Section(key, title, guide, blocks))
    placed = {name for _, _, _, names, _ in specs for name in names}
    others: list[Block] = [plot for name, plot in plots.items() if name not in placed]
    if others:
        sections.append(Section("figures", "More figures", "Each caption says what its figure shows.", others))
    summary = design_summary(results)
    return Page(results.title, results.generated, summary, results.warnings, results.verdicts, sections)


def design_summary(results: StudyResults) -> str:
    """Data, grid of runs, score and model of the study in one line."""
    data, design = results.data, results.design
    rows = ", ".join(f"{count:,} {split}" for split, count in data.get("rows", {}).items())
    unlabelled = f"; CBOW also read {data['unlabelled']:,} unlabelled tweets" if data.get("unlabelled") else ""
    return "\u00a0· ".join(
        [
            f"{data['name']}: {rows} {'generated ' if results.generated else ''}tweets{unlabelled}",
            f"{len(design['variants'])} variants × label budgets {', '.join(design['budget_names'])} × "
            f"{design['seeds']} seeds",
            f"score: {design['metric_name']} on test tweets",
            "± and brackets: 95 % intervals for other seeds and other test tweets, unless stated otherwise",
            f"differences below {effect_text(design['smallest_effect'])} are too small to matter",
            f"{design['encoder']} encoder, {design['dim']} dimensions",
        ]
    )
