"""The 2 × 2 factorial design (random or CBOW start, frozen or trained): main effects and interaction.

`S`: seeds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.study.statistics.intervals import seed_values

# Weights of (random, frozen), (random, trainable), (informed, frozen), (informed, trainable).
CONTRASTS = {"init": (-0.5, -0.5, 0.5, 0.5), "training": (-0.5, 0.5, -0.5, 0.5), "interaction": (1.0, -1.0, -1.0, 1.0)}


def factorial_effects(scores: Sequence[ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Main effects (S,) of `init` and `training`, and their `interaction`, from the scores of the same seeds.

    `scores` has the four variants in the order of the weights in CONTRASTS. A main effect is the gain from one level to
    the other (random to informed, frozen to trained), averaged over the other factor. The interaction is the gain by
    training informed vectors minus the gain by training random ones. Each is a contrast per seed, so seeds stay paired.

    Raises ValueError where the four differ in their number of seeds.
    """
    cells = [seed_values(values_S) for values_S in scores]
    if len({len(values_S) for values_S in cells}) > 1:
        raise ValueError(f"expected the same seeds in all four variants, got {[len(values_S) for values_S in cells]}")
    return {name: np.asarray(weights) @ np.stack(cells) for name, weights in CONTRASTS.items()}
