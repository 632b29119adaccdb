"""StudyResults: all numbers of a finished study, the only input of its report.

Tables are pandas frames with the columns named here; all else is JSON. Scores are fractions in [0, 1], intervals 95 %.
`label_budget` is the number of labelled tweets used (for "all": their number). Frames are sorted and hold no times, so
equal runs give equal bytes.
"""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Verdict:
    """One answer in plain language.

    question : as in the report's heading. answer : one or two sentences. evidence : sentences with numbers and
    intervals.
    """

    question: str
    answer: str
    evidence: list[str]


@dataclass(frozen=True)
class StudyWarning:
    """A warning with a code such as `generated_data`, `learning_rate_at_edge`, `below_baseline`, `too_few_seeds`."""

    code: str
    text: str


@dataclass(frozen=True)
class StudyResults:
    """A finished study.

    title : for example "tweet_eval-sentiment: macro recall of 4 variants".
    generated : whether the tweets are generated.
    data : name, source, fingerprint, label_names, rows (per split), unlabelled (further texts that CBOW read),
        tokens.
    design : variants, label_budgets (ints, ascending), budget_names ("100", …, "all (7,200)"), seeds (a number), metric
        ("macro_recall"), metric_name ("macro recall"), smallest_effect, pairs (lists of two), encoder, dim, resamples,
        lr_factors, trial_seeds, monitor, monitor_name, resplits (their number), resplit_rows (of the first, per split),
        own_test (what the test tweets are), later_test (bool: they are later than the training tweets).
    verdicts, warnings : on the report's first screen.
    runs : a row per finished run. kind ("variant", "baseline"), variant (a baseline's name for a baseline),
        label_budget, seed, run (folder name), lr_factor, dropout, chosen_epoch and metric columns such as
        `test/macro_recall`, `params/trainable`, `probe/drift/mean`.
    failures : variant, label_budget, seed, reason.
    trials : variant, label_budget, factor, dropout, lr_head, lr_embedding, score (mean validation score), seeds (the
        number that chose it), edge (bool: chosen and the smallest or largest factor).
    scores : kind, variant, label_budget, n (seeds), mean, sd, low, high (t-interval over seeds), low_total, high_total
        (other seeds and other test tweets), auc, nll (means over seeds, None without probabilities), trainable,
        parameters.
    ensembles : variant, label_budget, n (runs), mean, low, high (over test tweets): the score of the runs' average
        probabilities.
    differences : a (first), b (second), label_budget, planned (bool), n, mean (a − b), sd, low, high, low_total,
        high_total, p (sign-flip), p_smallest, p_holm, p_holm_smallest (both None where not planned), superiority,
        superiority_low, superiority_high, p_equivalence, p_equivalence_holm (None where not planned), decision
        (higher, lower, equivalent, undecided, too few seeds), equivalent (bool), sentence; auc and nll (a − b), each
        with its ends _low and _high (other seeds and other test tweets).
    resplits : a, b, label_budget (as in `differences`), n (resplits), mean, low, high; empty without resplits.
    amounts : variant (with all unlabelled texts), unlabelled_texts (that its CBOW read), a (the variant with so many),
        label_budget, n, mean (its lead over vectors learned from scratch), low, high (other seeds and other test
        tweets); empty unless some variant is there with several amounts.
    factorial : label_budget, effect ("CBOW init", "training", "interaction"), n, mean, low, high, low_total,
        high_total, p, p_holm (over all effects and budgets).
    crossover : variant, kind, estimate, low, high (label budgets or None), certain (bool), sentence.
    mcnemar : a, b, label_budget, seed, only_a, only_b (tweets that one alone got right), p; a row per seed.
    probes : variant, probe (metric name), when ("before", "after"), n, mean, low, high; largest budget.
    transfer : variant (or "(majority)", "(tfidf_logistic)"), task, when ("before", "after", "gain": after − before,
        "lead": after − cbow_frozen), n, mean, low, high (other seeds and test tweets), in macro recall. Gains and leads
        have rows of the tasks "(mean of these tasks)" and "(mean of other tasks)", whose n and interval are over tasks.
    bands : variant, band, rows, touched, mean_drift, mean_relative_l2; largest budget, mean over seeds.
    unknown : variant, band (share of a tweet's tokens that are in no labelled tweet), tweets, accuracy, low, high.
    unseen_leads : a, b (vectors learned from scratch), label_budget, band, n (seeds), tweets, mean (accuracy of a − b),
        low, high (other seeds and other test tweets).
    changed : variant, word, count, drift, relative_l2, direction; first seed, largest budget.
    words_map : {"words": […], "counts": […], "polarity": [-1, 0, 1 …], "variants": {variant: {"before": [[x, y], …],
        "after": [[x, y], …]}}}: coordinates of the same words; empty where no run kept its embedding.
    examples : test tweets on which variants disagree: text, label, and a column per variant with its prediction.
    confusion : variant → counts (true × predicted, mean over seeds), largest budget.
    audit : of `evaluation.audit`; with several settings of the text, the reports of all under `conditions`.
    methods : paragraphs. commands : exact command lines. environment : library and machine facts without times.
    """

    title: str
    generated: bool
    data: dict[str, Any]
    design: dict[str, Any]
    verdicts: list[Verdict]
    warnings: list[StudyWarning]
    runs: pd.DataFrame
    failures: pd.DataFrame
    trials: pd.DataFrame
    scores: pd.DataFrame
    ensembles: pd.DataFrame
    differences: pd.DataFrame
    resplits: pd.DataFrame
    amounts: pd.DataFrame
    factorial: pd.DataFrame
    crossover: pd.DataFrame
    mcnemar: pd.DataFrame
    probes: pd.DataFrame
    transfer: pd.DataFrame
    bands: pd.DataFrame
    unknown: pd.DataFrame
    unseen_leads: pd.DataFrame
    changed: pd.DataFrame
    words_map: dict[str, Any]
    examples: pd.DataFrame
    confusion: dict[str, list[list[float]]]
    audit: dict[str, Any]
    methods: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
