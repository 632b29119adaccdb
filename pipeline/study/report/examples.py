"""Test tweets on which the predictions of two variants differ most, over all seeds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PER_SIDE = 10  # tweets for each of the two variants


def disagreements(
    texts: Sequence[str],
    labels: NDArray[np.int64],
    predictions: Mapping[str, Mapping[int, NDArray[np.int64]]],
    pair: tuple[str, str],
    label_names: Sequence[str],
) -> pd.DataFrame:
    """Tweets (N) that one variant of `pair` gets right with more seeds than the other, the clearest first.

    `predictions` holds predicted classes (N,) by variant and seed.

    Columns `text`, `label` (the true one) and one per variant: the majority vote of its seeds, of equal counts the
    first label. Up to ten tweets that the first of the pair gets right more often, then up to ten for the second.
    """
    accuracy = {name: np.mean([row == labels for row in predictions[name].values()], axis=0) for name in pair}
    lead = accuracy[pair[0]] - accuracy[pair[1]]
    order = np.argsort(-np.abs(lead), kind="stable")
    rows = []
    for sign in (1, -1):
        for row in [int(row) for row in order if sign * lead[row] > 0][:PER_SIDE]:
            votes = {
                variant: label_names[int(np.bincount([predicted[row] for predicted in seeds.values()]).argmax())]
                for variant, seeds in predictions.items()
            }
            rows.append({"text": texts[row], "label": label_names[labels[row]]} | votes)
    return pd.DataFrame(rows, columns=["text", "label", *predictions])
