"""The report's sections in order, each made from the findings; a section without data is left out."""

from collections.abc import Callable, Sequence

from pipeline.study.report.blocks import Block, Commands, Page, Plot, Section, Text, WordMap, table_of
from pipeline.study.report.figures.all import Figure
from pipeline.study.report.phrases import NAMES
from pipeline.study.report.sections import scores as runs
from pipeline.study.report.sections import words
from pipeline.study.report.sections.data import audit
from pipeline.study.report.study_results import StudyResults
from pipeline.study.report.tables import environment_table

Blocks = Callable[[StudyResults], Sequence[Block]]


def methods(findings: StudyResults) -> list[Block]:
    """Paragraphs on how it was done."""
    return [Text(paragraph) for paragraph in findings.methods]


def commands(findings: StudyResults) -> list[Block]:
    """Command lines that give this report again."""
    return [Commands(findings.commands)] if findings.commands else []


def environment(findings: StudyResults) -> list[Block]:
    """Libraries and machine."""
    return table_of("Libraries and machine", environment_table(findings.environment))


def word_map(findings: StudyResults) -> list[Block]:
    """The interactive map."""
    has_places = findings.words_map.get("words") and findings.words_map.get("variants")
    return [WordMap(findings.words_map)] if has_places else []


# key, title, how to read it, the figures that open it, what follows them
SECTIONS: list[tuple[str, str, str, tuple[str, ...], Blocks]] = [
    (
        "differences",
        "Paired differences",
        "Each line compares two variants on the same seeds: the mark is the mean difference, first minus second, with "
        "its 95 % intervals; one that crosses zero leaves open which of the two is better.",
        ("differences",),
        runs.differences,
    ),
    (
        "label-budgets",
        "Score by number of labelled tweets",
        "A curve that lies higher needs fewer labels for the same score; where two bands overlap, look for the pair in "
        "the differences above, which are paired and therefore sharper.",
        ("score_curves",),
        runs.label_budgets,
    ),
    (
        "parameters",
        "Trained parameters and score",
        "Up is better, left is smaller: a variant that is higher and further left than another wins on both counts.",
        ("parameters_and_score",),
        runs.parameters,
    ),
    (
        "factorial",
        "What the start and what the training contribute",
        "The four variants cross two choices, CBOW or random start and trained or frozen rows; each effect is in "
        "points of score, and an interaction other than zero says that one choice changes what the other is worth.",
        ("factorial",),
        runs.factorial,
    ),
    (
        "probes",
        "What the word vectors know",
        "Each probe asks the vectors one thing, before and after the classifier's training; what stays equal was not "
        "changed by it.",
        ("probes",),
        words.probes,
    ),
    (
        "transfer",
        "Use on other tasks",
        "The vectors, frozen, are the only features of a logistic regression on another data set: compare a trained "
        "row with its own start and with rows that were never trained.",
        ("transfer",),
        words.transfer,
    ),
    (
        "drift",
        "How far training moved the words",
        "Drift is 1 − cosine between a word's vector before and after: 0 did not turn, 1 is a right angle; words are "
        "grouped by how often the labelled tweets have them.",
        ("drift_by_frequency",),
        words.drift,
    ),
    (
        "map",
        "Map of words",
        "Words near each other have similar vectors, as far as two dimensions can show it; switch between before and "
        "after to see what training moves, point at a word or find one by name.",
        (),
        word_map,
    ),
    (
        "unknown-words",
        "Score on tweets with unknown words",
        "Tweets are grouped by the share of their words that no labelled tweet had: a flat row copes with new words.",
        ("unknown_words",),
        words.unknown,
    ),
    (
        "confusion",
        "Which label was taken for which",
        "Rows are the true label, columns what the variant said, in test tweets (mean over seeds) and as a share of "
        "the row; the diagonal is right.",
        ("confusion",),
        runs.confusion,
    ),
    (
        "examples",
        "Tweets on which the variants disagree",
        "✓ marks an answer that equals the label in the data, ✗ another; labels in the data can be wrong too.",
        (),
        words.examples,
    ),
    (
        "audit",
        "Audit of the data",
        "Duplicates between splits, contradicting labels and words that give the label away make scores look better "
        "than they are; these were counted before anything was compared.",
        (),
        audit,
    ),
    (
        "learning-rates",
        "Learning rates tried",
        "Every variant got the same trials at each label budget and kept the best on validation; a choice at the edge "
        "of the grid means that a better rate may lie outside it.",
        ("learning_rates",),
        runs.trials,
    ),
    (
        "baselines",
        "Baselines",
        "Simple methods on the same tweets: a variant that stays below one of them is not worth its parameters.",
        (),
        runs.baselines,
    ),
    (
        "failures",
        "Runs that failed",
        "These are missing in every number above.",
        (),
        runs.failures,
    ),
    ("methods", "Methods", "What stands behind the numbers.", (), methods),
    ("commands", "Commands", "These give the same report again; one click selects a line.", (), commands),
    ("environment", "Environment", "Where it ran; other versions can move the last digits.", (), environment),
]


def page_of(findings: StudyResults, figures: Sequence[Figure]) -> Page:
    """The report's content: sections in order, each opened by its figures."""
    drawn = {figure.name: figure for figure in figures}
    sections = []
    for key, title, guide, names, blocks in SECTIONS:
        found = [*(Plot(drawn[name]) for name in names if name in drawn), *blocks(findings)]
        if found:
            sections.append(Section(key, title, guide, found))
    placed = {name for _, _, _, names, _ in SECTIONS for name in names}
    others: list[Block] = [Plot(figure) for figure in figures if figure.name not in placed]
    if others:
        sections.append(Section("figures", "More figures", "What each shows stands below it.", others))
    return Page(findings.title, findings.generated, ran_line(findings), findings.warnings, findings.verdicts, sections)


def ran_line(findings: StudyResults) -> str:
    """What was run, in one line."""
    data, design = findings.data, findings.design
    rows = ", ".join(f"{count:,} {split}" for split, count in data.get("rows", {}).items())
    unlabelled = f"; CBOW read {data['unlabelled']:,} unlabelled tweets besides" if data.get("unlabelled") else ""
    named = ", ".join(f"{told} is {name}" for name, told in NAMES.items() if name in design["variants"])
    return "\u00a0· ".join(
        [
            f"{data['name']}: {rows} {'generated ' if findings.generated else ''}tweets{unlabelled}",
            f"{len(design['variants'])} variants × label budgets {', '.join(design['budget_names'])} × "
            f"{design['seeds']} seeds",
            f"score: {design['metric_name']} on test tweets, 95 % intervals",
            f"a difference below {runs.points(design['smallest_effect'])} counts as none",
            f"{design['encoder']} encoder, {design['dim']} dimensions",
            *([f"in words: {named}"] if named else []),
        ]
    )
