"""All sections of a report in order, with titles and reading guides; sections without data are left out."""

from collections.abc import Callable, Sequence

from pipeline.study.report.blocks import Block, Commands, Page, Plot, Section, Text, WordMap, table_of
from pipeline.study.report.figures.all import Figure
from pipeline.study.report.phrases import effect_text
from pipeline.study.report.sections import scores, words
from pipeline.study.report.sections.data import audit
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import environment_table

Blocks = Callable[[StudyResults], Sequence[Block]]
# key, title, reading guide, names of the figures that open the section, the blocks after them
SectionSpec = tuple[str, str, str, tuple[str, ...], Blocks]


def methods(results: StudyResults) -> list[Block]:
    """Paragraphs on data, choices and statistics."""
    return [Text(paragraph) for paragraph in results.methods]


def commands(results: StudyResults) -> list[Block]:
    """Command lines that reproduce this report."""
    return [Commands(results.commands)] if results.commands else []


def environment(results: StudyResults) -> list[Block]:
    """Libraries and machine."""
    return table_of("Libraries and machine", environment_table(results.environment))


def word_map(results: StudyResults) -> list[Block]:
    """The interactive map of word vectors."""
    drawable = results.words_map.get("words") and results.words_map.get("variants")
    return [WordMap(results.words_map)] if drawable else []


SECTIONS: list[SectionSpec] = [
    (
        "differences",
        "Paired differences",
        "Each line compares two variants on the same seeds. The mark is the mean difference, first minus second, with "
        "its 95 % intervals. An interval that crosses zero leaves open which variant is better.",
        ("differences",),
        scores.differences,
    ),
    (
        "label-budgets",
        "Score by number of labelled tweets",
        "A higher curve needs fewer labels for the same score. Where two bands overlap, read the paired differences "
        "above: they are more precise.",
        ("score_curves",),
        scores.label_budgets,
    ),
    (
        "parameters",
        "Trained parameters and score",
        "A variant that is higher and further left than another scores higher with fewer trained parameters.",
        ("parameters_and_score",),
        scores.parameters,
    ),
    (
        "factorial",
        "Effects of CBOW initialisation and of training",
        "The four variants cross two factors: random or CBOW initialisation, frozen or trained vectors. Each effect is "
        "in points of score. An interaction other than zero means that one factor changes the effect of the other.",
        ("factorial",),
        scores.factorial,
    ),
    (
        "probes",
        "Probes of the word vectors",
        "Each probe measures one property of the word vectors before and after the classifier's training. Equal values "
        "mean that training did not change this property.",
        ("probes",),
        words.probes,
    ),
    (
        "transfer",
        "Transfer to other tasks",
        "The frozen word vectors are the only features of a logistic regression on another data set. Compare trained "
        "vectors with their initial values and with vectors that were never trained.",
        ("transfer",),
        words.transfer,
    ),
    (
        "drift",
        "Drift of the word vectors during training",
        "Drift is 1 − cosine between a word's vector before and after training: 0 is no turn, 1 a right angle. Words "
        "are grouped by their frequency in the labelled tweets.",
        ("drift_by_frequency",),
        words.drift,
    ),
    (
        "map",
        "Map of word vectors",
        "Words near each other have similar vectors, as far as two dimensions can show. Switch between before and "
        "after training, point at a word, or search for one.",
        (),
        word_map,
    ),
    (
        "unknown-words",
        "Accuracy on tweets with unseen words",
        "Tweets are grouped by the share of their tokens that no labelled tweet contains. A variant with equal "
        "accuracy in all groups copes with new words.",
        ("unknown_words",),
        words.unknown,
    ),
    (
        "confusion",
        "Confusion matrices",
        "Rows are true labels, columns predicted labels. Cells hold test tweets (mean over seeds) and their share of "
        "the row; the diagonal is correct.",
        ("confusion",),
        scores.confusion,
    ),
    (
        "examples",
        "Tweets on which the variants disagree",
        "✓ marks a prediction that equals the label in the data, ✗ one that differs. Labels in the data can be wrong "
        "too.",
        (),
        words.examples,
    ),
    (
        "audit",
        "Audit of the data",
        "Duplicates between splits, contradicting labels and tokens that give the label away inflate scores. They were "
        "counted before any comparison.",
        (),
        audit,
    ),
    (
        "learning-rates",
        "Choice of learning rates",
        "Every variant had the same trials at each label budget; the best validation score decided. A choice at the "
        "edge of the grid means that a better rate may lie outside it.",
        ("learning_rates",),
        scores.trials,
    ),
    (
        "baselines",
        "Baselines",
        "These are simple methods on the same tweets. A variant that scores below one of them does not earn its "
        "parameters.",
        (),
        scores.baselines,
    ),
    ("failures", "Failed runs", "These runs are missing from every number above.", (), scores.failures),
    ("methods", "Methods", "How the numbers were computed.", (), methods),
    ("commands", "Commands", "These commands reproduce this report. One click selects a line.", (), commands),
    (
        "environment",
        "Environment",
        "The machine and libraries of the runs; other versions can change the last digits.",
        (),
        environment,
    ),
]


def report_page(results: StudyResults, figures: Sequence[Figure], extra: Sequence[SectionSpec] = ()) -> Page:
    """The report's content: `extra` sections, then SECTIONS in order, each opened by its figures."""
    specs = [*extra, *SECTIONS]
    plots = {figure.name: Plot(figure) for figure in figures}
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
            f"score: {design['metric_name']} on test tweets, 95 % intervals",
            f"differences below {effect_text(design['smallest_effect'])} are too small to matter",
            f"{design['encoder']} encoder, {design['dim']} dimensions",
        ]
    )
