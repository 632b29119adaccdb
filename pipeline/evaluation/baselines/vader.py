"""VADER: a lexicon of 7,500 rated words and emoticons with rules for negation, emphasis and `but`; nothing is learned.

Hutto & Gilbert (2014), VADER: a parsimonious rule-based model for sentiment analysis of social media text.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.baselines.data import FloatArray, Model, Split

POLARITY = {"negative": -1, "neg": -1, "neutral": 0, "positive": 1, "pos": 1}
THRESHOLD = 0.05  # of the authors: a compound score nearer to zero is neutral


def polarity_classes(label_names: Sequence[str]) -> dict[int, int] | None:
    """Which class each polarity (-1, 0, 1) is, or None unless the names are negative, positive and maybe neutral."""
    polarities = [POLARITY.get(name.strip().lower()) for name in label_names]
    if sorted(map(str, polarities)) not in (["-1", "1"], ["-1", "0", "1"]):
        return None
    return {polarity: id for id, polarity in enumerate(polarities) if polarity is not None}


def vader(label_names: Sequence[str]) -> Model:
    """Decide by VADER's compound score of the plain text, in [-1, 1].

    Three classes: from 0.05 positive, to -0.05 negative, else neutral. Two classes: the sign, and a compound of zero
    (no word of the lexicon, or as much good as bad) counts as positive. The score is no probability, and a map to one
    would be an invention, so each row of the outcome (N, C) is one-hot. `label_names` as `polarity_classes` takes them.
    """
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    classes = polarity_classes(label_names)
    if classes is None:
        raise ValueError(f"not names of polarities: {', '.join(label_names)}")
    compound = SentimentIntensityAnalyzer().polarity_scores

    def probabilities(split: Split) -> FloatArray:
        score_N = np.array([compound(text)["compound"] for text in split.texts], dtype=np.float64)
        if 0 in classes:
            polarity_N = np.select([score_N >= THRESHOLD, score_N <= -THRESHOLD], [1, -1], 0)
        else:
            polarity_N = np.where(score_N >= 0, 1, -1)
        class_of = np.array([classes.get(polarity, -1) for polarity in (-1, 0, 1)])
        one_hot_NC: FloatArray = np.eye(len(label_names), dtype=np.float32)[class_of[polarity_N + 1]]
        return one_hot_NC

    notes = () if 0 in classes else ("a text without sentiment words counts as positive",)
    return Model(probabilities, 0, notes, decides_only=True)
