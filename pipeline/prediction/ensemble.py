"""The average of several models' probabilities; the models may differ in encoder, vocabulary and text preset."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction.predictor import Explanation, Prediction, Predictor, left_out_method, left_out_spans
from pipeline.runtime.errors import UserError
from pipeline.text.presets import Preset


class Ensemble(Predictor):
    """Predicts the mean of the members' probabilities, with the labels in the order of the first member.

    members : name and predictor of each. Raises UserError where a member has other labels than the first.
    """

    def __init__(self, members: Sequence[tuple[str, Predictor]]) -> None:
        first, self.labels = members[0][0], list(members[0][1].labels)
        for name, member in members:
            if sorted(member.labels) != sorted(self.labels):
                raise UserError(
                    f"{name}: its labels are {', '.join(member.labels)}, and those of {first} are "
                    f"{', '.join(self.labels)}; only models of the same labels can be averaged"
                )
        self.members = [member for _, member in members]
        self.columns = [[member.labels.index(label) for label in self.labels] for member in self.members]

    @cached_property
    def tokenizer(self) -> Preset:
        """The tokenizer of the first member; an error of any is raised."""
        first, *_ = (member.tokenizer for member in self.members)
        return first

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Mean class probabilities (N, C)."""
        members = zip(self.members, self.columns, strict=True)
        mean_NC: NDArray[np.float64] = np.mean(
            [one.probabilities(texts)[:, columns] for one, columns in members], axis=0
        )
        return mean_NC

    def predict(self, texts: Sequence[str], *, explain: bool = True) -> list[Prediction]:
        """Label and probabilities of each text and, with `explain`, the contribution of its words.

        The members may have different tokens: words are those between blanks, and unknown tokens
        those that every member has and none knows.
        """
        rows = zip(texts, self.probabilities(texts), strict=True)
        return [
            Prediction(self.labels[row_C.argmax()], row_C, self._explain(text, row_C) if explain else None)
            for text, row_C in rows
        ]

    def _explain(self, text: str, row_C: NDArray[np.float64]) -> Explanation:
        order, words = np.argsort(-row_C, kind="stable"), text.split()
        label, against = int(order[0]), int(order[min(1, len(order) - 1)])
        spans = left_out_spans(len(words))
        rests = self.probabilities([" ".join(words[: span.start] + words[span.stop :]) for span in spans])
        margin, *without = (float(np.log(row[label]) - np.log(row[against])) for row in [row_C, *rests])
        contributions = [(" ".join(words[span]), margin - rest) for span, rest in zip(spans, without, strict=True)]
        unknown, *others = (member.unknown(member.tokens(text)) for member in self.members)
        unknown = [token for token in unknown if all(token in other for other in others)]
        return Explanation(left_out_method("word", spans), self.labels[against], margin, None, contributions, unknown)
