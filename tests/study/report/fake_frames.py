"""Invented tables of a study: scores drawn once per variant, label budget and seed; the statistics follow from them."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.study.statistics.probe_frames import OTHER_TASKS, THESE_TASKS

VARIANTS = ["random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned"]
BASELINES = ["majority", "vader", "tfidf_logistic"]
BUDGETS = [100, 300, 1000, 3000, 7200]
PAIRS = [
    ["cbow_frozen", "random_trainable"],
    ["cbow_finetuned", "random_trainable"],
    ["cbow_finetuned", "cbow_frozen"],
    ["random_trainable", "random_frozen"],
]
MEANS = {
    "random_trainable": [0.361, 0.402, 0.455, 0.531, 0.616],
    "random_frozen": [0.345, 0.356, 0.372, 0.401, 0.425],
    "cbow_frozen": [0.482, 0.531, 0.569, 0.588, 0.602],
    "cbow_finetuned": [0.479, 0.535, 0.573, 0.607, 0.631],
    "majority": [1 / 3] * 5,
    "vader": [0.541] * 5,
    "tfidf_logistic": [0.371, 0.420, 0.478, 0.545, 0.583],
}
SPREAD = {"majority": 0.0, "vader": 0.0, "tfidf_logistic": 0.006}
TRAINABLE = {"random_trainable": 2_327_042, "random_frozen": 514, "cbow_frozen": 514, "cbow_finetuned": 2_327_042}


def runs(seeds: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    seed_effect = rng.normal(0, 0.008, (len(BUDGETS), seeds))
    rows = []
    for name, (index, budget), seed in product([*VARIANTS, *BASELINES], enumerate(BUDGETS), range(seeds)):
        spread = SPREAD.get(name, 0.006)
        score = MEANS[name][index] + (spread > 0) * seed_effect[index, seed] + spread * rng.normal()
        variant = name in VARIANTS
        if (name, budget, seed) == ("random_frozen", 3000, 7) or (name == "tfidf_logistic" and budget == 100 and seed):
            continue
        drift = 0.21 + 0.01 * seed if name == "random_trainable" else 0.08 if name == "cbow_finetuned" else None
        training = [3.0, 4 + seed % 3] if variant else [None, None]
        row = ["variant" if variant else "baseline", name, budget, seed, f"{name}-{budget}-{seed}", *training]
        rows.append([*row, score, score + 0.02, TRAINABLE.get(name), drift])
    columns = ["kind", "variant", "label_budget", "seed", "run", "lr_factor", "chosen_epoch", "test/macro_recall"]
    return pd.DataFrame(rows, columns=[*columns, "test/accuracy", "params/trainable", "probe/drift/mean"])


def _interval(values: np.ndarray) -> tuple[float, float | None, float | None, float | None]:
    """Mean, sd and t-interval; None from a single value."""
    if len(values) < 2:
        return float(values.mean()), None, None, None
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * sd / len(values) ** 0.5
    return mean, sd, mean - half, mean + half


def scores(runs: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (kind, name, budget), group in runs.groupby(["kind", "variant", "label_budget"]):
        mean, sd, low, high = _interval(group["test/macro_recall"].to_numpy())
        total = (None, None) if low is None else (low - 0.004, high + 0.004)
        count = TRAINABLE.get(name)
        proper = [0.9 * mean, 1 - mean] if name != "vader" else [None, None]
        counts = [count, 2_327_042 if count else None]
        rows.append([kind, name, budget, len(group), mean, sd, low, high, *total, *proper, *counts])
    columns = ["kind", "variant", "label_budget", "n", "mean", "sd", "low", "high", "low_total", "high_total"]
    return pd.DataFrame(rows, columns=[*columns, "auc", "nll", "trainable", "parameters"])


def ensembles(seeds: int) -> pd.DataFrame:
    rows = [
        [name, budget, seeds, MEANS[name][index] + 0.005, MEANS[name][index] - 0.004, MEANS[name][index] + 0.014]
        for name, (index, budget) in product(VARIANTS, enumerate(BUDGETS))
    ]
    return pd.DataFrame(rows, columns=["variant", "label_budget", "n", "mean", "low", "high"])


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    table = runs.pivot(index=["label_budget", "seed"], columns="variant", values="test/macro_recall")
    pairs = PAIRS + [
        list(p) for p in combinations(sorted(VARIANTS), 2) if [*p] not in PAIRS and [*p[::-1]] not in PAIRS
    ]
    rows = []
    for (a, b), budget in product(pairs, BUDGETS):
        values = (table.loc[budget, a] - table.loc[budget, b]).dropna().to_numpy()
        n, (mean, sd, low, high) = len(values), _interval(values)
        signs = np.array(list(product([1, -1], repeat=n)))
        p = float((np.abs(signs @ values) >= abs(values.sum()) - 1e-12).mean())
        smallest, share = 2 / 2**n, float((values > 0).mean())
        standard = (sd or 1.0) / n**0.5
        equal = max(stats.t.sf((0.01 - abs(mean)) / standard, n - 1), 0.0)
        decision = "equivalent" if equal < 0.05 else "undecided"
        if low is not None and (low > 0.006 or high < -0.006):
            decision = "higher" if low > 0 else "lower"
        if smallest > 0.05:
            decision = "too few seeds"
        planned = [a, b] in PAIRS
        superiority = [share, max(0.0, share - 0.2), min(1.0, share + 0.2)]
        total = [None, None] if low is None else [low - 0.006, high + 0.006]
        holm = [min(1.0, 20 * p), min(1.0, 20 * smallest)] if planned else [None, None]
        sentence = f"{a} is {decision} than {b} by {100 * mean:+.1f} points at {budget} labels, n = {n} <seeds>."
        row = [a, b, budget, planned, n, mean, sd, low, high, *total, p, smallest, *holm, *superiority, float(equal)]
        nll = [None, None] if low is None else [-total[1], -total[0]]
        proper = [mean, *total, -mean, *nll]
        rows.append([*row, min(1.0, 2 * equal) if planned else None, decision, sentence, *proper])
    columns = "a b label_budget planned n mean sd low high low_total high_total p p_smallest p_holm p_holm_smallest"
    inference = "superiority superiority_low superiority_high p_equivalence p_equivalence_holm decision sentence"
    inference += " auc auc_low auc_high nll nll_low nll_high"
    return pd.DataFrame(rows, columns=f"{columns} {inference}".split())


def factorial(runs: pd.DataFrame) -> pd.DataFrame:
    table = runs.pivot(index=["label_budget", "seed"], columns="variant", values="test/macro_recall")
    plain, fixed, frozen, tuned = (table[name] for name in VARIANTS)
    effects = {
        "CBOW init": (tuned + frozen - plain - fixed) / 2,
        "training": (tuned + plain - frozen - fixed) / 2,
        "interaction": tuned - frozen - (plain - fixed),
    }
    rows = []
    for budget, (effect, series) in product(BUDGETS, effects.items()):
        values = series.loc[budget].dropna().to_numpy()
        mean, _, low, high = _interval(values)
        total = [None, None] if low is None else [low - 0.006, high + 0.006]
        p = 2 / 2 ** len(values)
        rows.append([budget, effect, len(values), mean, low, high, *total, p, min(1.0, 15 * p)])
    columns = ["label_budget", "effect", "n", "mean", "low", "high", "low_total", "high_total", "p", "p_holm"]
    return pd.DataFrame(rows, columns=columns)


def trials() -> pd.DataFrame:
    factors, best = (
        [0.3, 1.0, 3.0, 10.0],
        {"random_trainable": 2, "random_frozen": 3, "cbow_frozen": 2, "cbow_finetuned": 1},
    )
    rows = []
    for name, (index, budget) in product(VARIANTS, enumerate(BUDGETS)):
        chosen = 3 if (name, budget) == ("cbow_frozen", 100) else best[name]
        for i, factor in enumerate(factors):
            score = MEANS[name][index] - 0.012 * (i - chosen) ** 2
            edge = i == chosen and i in (0, 3)
            rows.append([name, budget, factor, 0.3, 0.01 * factor, 0.002 * factor, score, 5 * (i == chosen), edge])
    columns = ["variant", "label_budget", "factor", "dropout", "lr_head", "lr_embedding", "score", "seeds", "edge"]
    return pd.DataFrame(rows, columns=columns)


def mcnemar(seeds: int) -> pd.DataFrame:
    rows = []
    for budget, seed in product(BUDGETS, range(seeds)):
        gain = 420 + 13 * seed
        p = float(stats.binomtest(gain, gain + 310).pvalue)
        rows.append(["cbow_finetuned", "random_trainable", budget, seed, gain, 310, p])
    return pd.DataFrame(rows, columns=["a", "b", "label_budget", "seed", "only_a", "only_b", "p"])


def probes(seeds: int) -> pd.DataFrame:
    before = {"random": [0.01, -0.01, 0.50, 0.51, 0.50], "cbow": [0.31, 0.16, 0.71, 0.78, 0.58]}
    gain = [-0.02, -0.01, 0.19, 0.02, 0.21]
    names = [
        "similarity/wordsim353/spearman",
        "similarity/simlex999/spearman",
        "polarity/seen/auc",
        "polarity/unseen/auc",
        "antonyms/evaluative/nearer",
    ]
    rows = []
    for name, (index, probe), when in product(VARIANTS, enumerate(names), ["before", "after"]):
        mean = before[name.split("_")[0]][index] + gain[index] * (when == "after" and name.endswith(("able", "tuned")))
        none = (name, index) == ("random_frozen", 0)
        rows.append([name, probe, when, seeds, mean, None if none else mean - 0.015, None if none else mean + 0.015])
    return pd.DataFrame(rows, columns=["variant", "probe", "when", "n", "mean", "low", "high"])


def transfer(seeds: int) -> pd.DataFrame:
    start, gain = {"random": 0.41, "cbow": 0.58}, {"emotion": 0.067, "irony": -0.03, "offensive": 0.121}
    rows: list[list[Any]] = []
    for task, (row, name), when in product(gain, enumerate(VARIANTS), ["before", "after"]):
        size = gain[task] if row in (0, 3) else 0.0
        mean = start[name.split("_")[0]] + 0.05 * (task == "offensive") + size * (when == "after")
        rows.append([name, task, when, seeds, mean, mean - 0.011, mean + 0.012])
        if when == "after":
            rows.append([name, task, "gain", seeds, size, size - 0.01 * (size != 0), size + 0.01 * (size != 0)])
            if name != "cbow_frozen":
                lead = mean - start["cbow"] - 0.05 * (task == "offensive")
                rows.append([name, task, "lead", seeds, lead, lead - 0.02, lead + 0.02])
    for name, (task, n, half) in product(VARIANTS[::3], [(THESE_TASKS, seeds, 0.01), (OTHER_TASKS, 3, 0.19)]):
        mean = sum(gain.values()) / 3
        rows.append([name, task, "gain", n, mean, mean - half, mean + half])
    for task in gain:
        rows.append(["(majority)", task, "after", 1, 0.25 if task == "emotion" else 0.5, None, None])
        rows.append(["(tfidf_logistic)", task, "after", 1, 0.6123, None, None])
    return pd.DataFrame(rows, columns=["variant", "task", "when", "n", "mean", "low", "high"])


def bands() -> pd.DataFrame:
    bands = {"1": 4100, "2-9": 3300, "10-99": 1400, "100+": 288}
    rows = []
    for name, (index, (band, count)) in product(VARIANTS, enumerate(bands.items())):
        moves = {"random_trainable": 0.06, "cbow_finetuned": 0.025}.get(name, 0.0)
        mean = moves * (index + 1) ** 1.2
        rows.append([name, band, count, count if moves else 0, mean, 1.5 * mean])
    return pd.DataFrame(rows, columns=["variant", "band", "rows", "touched", "mean_drift", "mean_relative_l2"])


def unknown() -> pd.DataFrame:
    rows = []
    for name, (index, (band, tweets)) in product(
        VARIANTS, enumerate({"0": 2901, "up to 10 %": 4400, "10–25 %": 3600, "over 25 %": 1383}.items())
    ):
        mean = MEANS[name][-1] + 0.03 - (0.01 if name == "cbow_finetuned" else 0.03) * index
        last = name == "random_frozen" and index == 3
        rows.append([name, band, tweets, mean, None if last else mean - 0.014, None if last else mean + 0.014])
    return pd.DataFrame(rows, columns=["variant", "band", "tweets", "accuracy", "low", "high"])


def resplits() -> pd.DataFrame:
    rows = [
        ("cbow_frozen", "random_trainable", 100, 5, 0.05, 0.03, 0.07),
        ("cbow_frozen", "random_trainable", 300, 5, 0.01, -0.01, 0.03),
        ("cbow_frozen", "random_trainable", 1000, 5, -0.04, -0.05, -0.03),
        ("cbow_frozen", "random_frozen", 100, 5, 0.2, 0.1, 0.3),
    ]
    return pd.DataFrame(rows, columns=["a", "b", "label_budget", "n", "mean", "low", "high"])


def unseen_leads(seeds: int) -> pd.DataFrame:
    rows: list[list[Any]] = []
    for name, budget, (index, band) in product(VARIANTS[2:], BUDGETS, enumerate(["none", "0-10 %", "10-20 %"])):
        mean = 0.02 + 0.03 * index
        tweets = [4000.0, 6000.5, 2283.5][index]
        rows.append([name, VARIANTS[0], budget, band, seeds, tweets, mean, mean - 0.011, mean + 0.011])
    return pd.DataFrame(rows, columns=["a", "b", "label_budget", "band", "n", "tweets", "mean", "low", "high"])


def amounts() -> pd.DataFrame:
    """The lead grows with the unlabelled texts and falls with the labels: zero between the cells."""
    rows = []
    for name in ("cbow_frozen", "cbow_finetuned"):
        for i, size in enumerate((0, 50_000, 540_000)):
            a = name if size == 540_000 else f"{name}@cbow.unlabelled_texts={size}"
            for j, budget in enumerate(BUDGETS):
                lead = 0.03 * i - 0.02 * j + 0.01 if name == "cbow_frozen" else 0.01 * (i + j + 1)
                rows.append((name, size, a, budget, 10, lead, lead - 0.02, lead + 0.02))
    columns = ["variant", "unlabelled_texts", "a", "label_budget", "n", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
