"""How the study was done, in paragraphs for its report."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config.schema import Config


def methods(
    design: Mapping[str, Any], facts: Mapping[str, Any], config: Config, choices: Sequence[str] | None = None
) -> list[str]:
    """Paragraphs on data, runs, choices and statistics; `design` of `StudyResults`, `facts` of the stage `prepare`.

    choices : paragraphs on how settings were chosen, in place of the one on learning rates.
    """
    rows, corpus, study = facts["rows"], facts["corpus"], config.study
    splits = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    texts = " and ".join(f"{count:,} {name}" for name, count in corpus["texts"].items())
    rates = ", ".join(f"{factor:g}" for factor in study.lr_factors)
    anew = config.cbow.seed == config.seed
    paragraphs = [
        f"Data: {splits} tweets. CBOW read {corpus['tokens']:,} tokens ({texts} texts), never a validation or test "
        "text. All variants share token ids, classifier shape and, for a seed, labelled tweets, initial weights above "
        "the embedding and batch order: differences are paired by seed. Smaller label budgets are subsets of larger "
        f"ones. {'CBOW was trained anew for every seed' if anew else 'All seeds start from the same CBOW training'}.",
        f"Choices: for every variant and label budget, the same {len(study.lr_factors)} pairs of learning rates "
        f"(train.lr_head={config.train.lr_head:g} and train.lr_embedding={config.train.lr_embedding:g} times {rates}) "
        f"were tried with {study.trial_seeds} seed{'s' if study.trial_seeds > 1 else ''}, and the one with the best "
        f"mean {config.train.monitor} on validation was taken; early stopping watches the same. Baselines choose among "
        f"{len(study.lr_factors)} settings each, anew for every seed and by macro recall. The test split was read once "
        "per run, after these choices. All seeds of a variant share its rates: no interval holds what another choice "
        "of them would change.",
        "Statistics: means over seeds with Student's t-intervals (what other seeds would change). Wider intervals add "
        f"the variance over test tweets (paired bootstrap, {study.resamples:,} resamples; Satterthwaite's degrees of "
        "freedom): what other seeds and other tweets would change. Planned differences are tested by an exact "
        "sign-flip permutation test over seeds. Holm's correction is of the larger of its p and that of the wider "
        "interval, over all planned pairs at all label budgets as one family. A difference is called only where the "
        "corrected p is at most 0.05 and the wider interval leaves out zero. Two variants are called as good as each "
        "other where two one-sided tests put the difference "
        f"within ±{100 * study.smallest_effect:g} points (equivalence, not corrected). The crossover inverts the "
        "interval of the difference along the label budgets, straight in log labels between them. McNemar's test "
        "compares the two classifiers of one seed. Factorial effects are contrasts per seed. Neither is corrected.",
    ]
    if choices is not None:
        paragraphs[1:2] = choices
    if tasks := design["transfer"]:
        paragraphs.append(
            f"Other tasks ({', '.join(tasks)}): with the most labels, the embedding of every run, before and after "
            "training, gives a tweet the mean of its known words' rows, and a logistic regression is fitted to these "
            "features with the other task's labels, its penalty chosen on that task's validation tweets. Intervals "
            "are over seeds only. CBOW, and the vocabulary, may have read some of these tasks' texts, never their "
            "labels; how many is said with the answer."
        )
    return paragraphs
