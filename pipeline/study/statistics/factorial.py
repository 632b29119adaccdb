"""The 2 × 2 factorial design (random or CBOW start, frozen or trained): main effects and interaction.

`S`: seeds.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from pipeline.study.statistics.bootstrap import TweetResamples
from pipeline.study.statistics.intervals import Interval, combined_interval, seed_values, t_interval
from pipeline.study.statistics.significance import sign_flip_p

K = TypeVar("K", bound=Hashable)
# Weights of (random, frozen), (random, trainable), (informed, frozen), (informed, trainable).
CONTRASTS = {"init": (-0.5, -0.5, 0.5, 0.5), "training": (-0.5, 0.5, -0.5, 0.5), "interaction": (1.0, -1.0, -1.0, 1.0)}


@dataclass(frozen=True)
class Effect:
    """An effect on the score: intervals for other seeds, and for other seeds and tweets; uncorrected sign-flip p."""

    over_seeds: Interval
    combined: Interval
    p: float


def factorial_effects(
    random_frozen_S: ArrayLike,
    random_trainable_S: ArrayLike,
    informed_frozen_S: ArrayLike,
    informed_trainable_S: ArrayLike,
    *,
    tweets: TweetResamples[K] | None = None,
    columns: Sequence[K] = (),
) -> dict[str, Effect]:
    """Main effects of `init` and `training`, and their `interaction`, from the scores of the same seeds at one budget.

    A main effect is the gain from one level to the other (random to informed, frozen to trained), averaged over the
    other factor. The interaction is the gain by training informed vectors minus the gain by training random ones. Each
    is a contrast per seed, so seeds stay paired. With `tweets`, the combined interval adds the variance over test sets;
    `columns` names the four variants there, in the order of the arguments.

    Raises ValueError where the four differ in their number of seeds, or `columns` does not name four.
    """
    cells = [seed_values(s) for s in (random_frozen_S, random_trainable_S, informed_frozen_S, informed_trainable_S)]
    if len({len(values_S) for values_S in cells}) > 1:
        raise ValueError(f"expected the same seeds in all four variants, got {[len(values_S) for values_S in cells]}")
    effects = {}
    for name, weights in CONTRASTS.items():
        effect_S = np.asarray(weights) @ np.stack(cells)
        variance = tweets.contrast_variance(dict(zip(columns, weights, strict=True))) if tweets is not None else 0.0
        effects[name] = Effect(t_interval(effect_S), combined_interval(effect_S, variance), sign_flip_p(effect_S))
    return effects
