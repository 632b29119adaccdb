"""The answer to whether distilled vectors beat CBOW, and whether CBOW on one's own tweets adds to them."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.config.variants import prose_name
from pipeline.study.report import phrases
from pipeline.study.report.answers.cbow import Curve, difference_curve, opening, standings
from pipeline.study.report.study_results import Verdict

QUESTION = "Would vectors distilled from a sentence transformer have been better, and does CBOW add to them?"
# First minus second: distilled vectors against CBOW; and both side by side against distilled vectors.
AGAINST_CBOW = (("distilled_frozen", "cbow_frozen"), ("distilled_finetuned", "cbow_finetuned"))
WITH_CBOW = (
    ("cbow_distilled_frozen", "distilled_frozen"),
    ("cbow_distilled_finetuned", "distilled_finetuned"),
)
PAIRS = [set(pair) for pair in (*AGAINST_CBOW, *WITH_CBOW)]
CAVEAT = (
    "Distilled vectors come from a model that has read very much more text than this project's CBOW, so the comparison "
    "is one of what can be had, not of methods on equal text."
)


def distilled_verdict(differences: pd.DataFrame, design: Mapping[str, Any]) -> Verdict | None:
    """Distilled vectors against CBOW, and both side by side against distilled vectors, by label budget."""
    against, with_cbow = (
        {pair: rows for pair in pairs if (rows := difference_curve(differences, *pair, design["label_budgets"]))}
        for pairs in (AGAINST_CBOW, WITH_CBOW)
    )
    if not against and not with_cbow:
        return None
    sentences, evidence = [], []
    for lead, curves in (("Better than CBOW", against), ("Better with CBOW beside them", with_cbow)):
        if curves:
            sentences += [f"{lead}: {opening(list(curves.values())).lower()}.", *_standings(curves, design)]
            evidence += [
                phrases.over_budgets(f"{prose_name(first)} − {prose_name(second)}", rows)
                for (first, second), rows in curves.items()
            ]
    return Verdict(QUESTION, " ".join(sentences), [*evidence, CAVEAT])


def _standings(curves: Mapping[tuple[str, str], Curve], design: Mapping[str, Any]) -> list[str]:
    small = phrases.effect_text(design["smallest_effect"])
    return [text for (first, second), rows in curves.items() for text in standings(first, second, rows, small)]
