"""VADER baseline: a sentiment lexicon with rules for negation, emphasis and `but`; nothing is learned.

Its lexicon has 7,500 rated words and emoticons. Hutto & Gilbert (2014), VADER: a parsimonious rule-based model for
sentiment analysis of social media text.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.baselines.data import FittedBaseline, FloatArray, Split

POLARITY = {"negative": -1, "neg": -1, "neutral": 0, "positive": 1, "pos": 1}
THRESHOLD = 0.05  # from the authors: compound scores nearer to zero are neutral


def polarity_classes(label_names: Sequence[str]) -> dict[int, int] | None:
    """The class of each polarity (-1, 0, 1); None unless the names are negative, positive and optionally neutral."""
    polarities = [POLARITY.get(name.strip().lower()) for name in label_names]
    if sorted(map(str, polarities)) not in (["-1", "1"], ["-1", "0", "1"]):
        return None
    return {polarity: id for id, polarity in enumerate(polarities) if polarity is not None}


def vader(label_names: Sequence[str]) -> FittedBaseline:
    """Classify by VADER's compound score of the plain text, in [-1, 1].

    Three classes: positive from 0.05, negative to -0.05, else neutral. Two classes: the sign; a score of zero (no word
    of the lexicon, or a balance of good and bad) counts as positive. The score is not a probability and has no accepted
    map to one, so predictions (N, C) are one-hot. Raises ValueError for names that `polarity_classes` rejects.
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
    return FittedBaseline(probabilities, 0, notes, one_hot=True)
