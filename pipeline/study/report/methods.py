"""The report's section on methods: data, choice of settings, statistics and transfer, in paragraphs."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config.schema import Config


def methods(
    design: Mapping[str, Any], facts: Mapping[str, Any], config: Config, choices: Sequence[str] | None = None
) -> list[str]:
    """Paragraphs on data, runs, choices and statistics.

    Parameters
    ----------
    design : of `StudyResults`. facts : of the stage `prepare`.
    choices : paragraphs on how settings were chosen, in place of the one on learning rates.
    """
    tasks = design["transfer"]
    return [
        _data(facts, config),
        *([_learning_rates(config)] if choices is None else choices),
        _statistics(config),
        *([_transfer(tasks)] if tasks else []),
    ]


def _data(facts: Mapping[str, Any], config: Config) -> str:
    splits = ", ".join(f"{count:,} {name}" for name, count in facts["rows"].items())
    texts = " and ".join(f"{count:,} {name}" for name, count in facts["corpus"]["texts"].items())
    cbow_per_seed = config.cbow.seed == config.seed
    return (
        f"Data: {splits} tweets. CBOW read {facts['corpus']['tokens']:,} tokens ({texts} texts), never a validation or "
        "test text. All variants share token ids and classifier shape. For a seed they also share labelled tweets, "
        "batch order and initial weights above the embedding, so differences are paired by seed. Smaller label budgets "
        "are subsets of larger ones. "
        f"{'CBOW was trained anew for every seed' if cbow_per_seed else 'All seeds start from the same CBOW training'}."
    )


def _learning_rates(config: Config) -> str:
    study, train = config.study, config.train
    factors = ", ".join(f"{factor:g}" for factor in study.lr_factors)
    return (
        f"Choices: for every variant and label budget, the same {len(study.lr_factors)} pairs of learning rates "
        f"(train.lr_head={train.lr_head:g} and train.lr_embedding={train.lr_embedding:g} times {factors}) were tried "
        f"with {study.trial_seeds} seed{'s' if study.trial_seeds > 1 else ''}. The pair with the best mean "
        f"{train.monitor} on validation was taken; early stopping monitors the same score. Baselines choose among "
        f"{len(study.lr_factors)} settings each, anew for every seed and by macro recall. The test split was read once "
        "per run, after these choices. All seeds of a variant share its rates, so no interval includes the effect of "
        "choosing others."
    )


def _statistics(config: Config) -> str:
    study = config.study
    return (
        "Statistics: means over seeds have Student's t-intervals, which hold for other seeds. Wider intervals add the "
        f"variance over test tweets (paired bootstrap, {study.resamples:,} resamples; Satterthwaite's degrees of "
        "freedom) and hold for other seeds and other tweets. Planned differences are tested by an exact sign-flip "
        "permutation test over seeds. Holm's correction takes the larger of its p and that of the wider interval, over "
        "all planned pairs at all label budgets as one family. A difference is claimed only where the corrected p is "
        "at most 0.05 and the wider interval excludes zero. Two variants are equivalent where two one-sided tests put "
        f"the difference within ±{100 * study.smallest_effect:g} points (not corrected). The crossover inverts the "
        "interval of the difference along the label budgets, linear in log labels between them. McNemar's test "
        "compares the two classifiers of one seed. Factorial effects are contrasts per seed. Neither is corrected."
    )


def _transfer(tasks: Sequence[str]) -> str:
    return (
        f"Other tasks ({', '.join(tasks)}): the embedding of every run with the most labels is used before and after "
        "training. The features of a tweet are the mean vector of its known words. A logistic regression is fitted to "
        "them with the other task's labels, its penalty chosen on that task's validation tweets. Intervals are over "
        "seeds only. CBOW, and the vocabulary, may have read some of these tasks' texts, never their labels; the "
        "answer gives their number."
    )
