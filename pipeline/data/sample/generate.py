"""The project's own data set `sample`: generated tweets whose truth is known.

A tweet has a topic and a label. Five kinds of evidence speak for or against the label, each present or absent by chance
and each wrong with a known probability (`CHANNELS`): the deciding clause (rarely ironic), an exclamation in front, an
event, an emoji, a hashtag. The wording is drawn given the evidence and tells nothing more about the label, so the
accuracy of the best possible classifier is a finite sum (`bayes_accuracy`). Negation and contrast make words disagree
with what they mean in the tweet, and synonyms of falling frequency leave many sentiment words unseen in a few hundred
labels, while unlabelled tweets show which words are used alike. On request some labelled tweets get a planted word that
gives their label away, so that what looks for leaks can be tried.

Tweets come in blocks of 10,000 with a random stream each, so row i is the same however many rows are asked for.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SampleConfig
from pipeline.data.sample.sentences import BLOCK, TOPIC, Bools, Draws, Floats, Ints, Strings, Wording, only
from pipeline.data.sample.topics import TOPICS

LABEL_NAMES = ("negative", "positive")

Stream = Literal["labelled", "unlabelled"]
STREAMS: tuple[Stream, ...] = ("labelled", "unlabelled")
LEAK_STREAM = len(STREAMS)  # planted words are drawn apart, so that all else is the same with and without them


class Channel(NamedTuple):
    """One kind of evidence: how often it is there, and how often it then agrees with the label."""

    present: float
    agrees: float


CHANNELS: dict[str, Channel] = {
    "clause": Channel(0.94, 0.98),
    "exclamation": Channel(0.25, 0.84),
    "event": Channel(0.35, 0.76),
    "emoji": Channel(0.45, 0.82),
    "hashtag": Channel(0.15, 0.84),
}
NEGATED = (0.16, 0.09)  # share of negated clauses among those that mean something negative, something positive
CONTRAST, ADDITION = 0.09, 0.32  # share of deciding clauses beside one that means the opposite, the same
EXACT, MASKED, RETWEET = 0.01, 0.01, 0.01  # share of copies: the same text; another handle and link; `RT @…: ` in front
LEAKS = ("zorbex", "quimlat")  # planted where the given label is negative, positive; no other text holds them
_TOPIC_POSITIVE = np.array([topic.positive for topic in TOPICS])


@dataclass(frozen=True)
class Block:
    """Generated tweets with the facts behind them.

    Attributes
    ----------
    texts : the n tweets.
    labels : (n,) 0 or 1: what a user of the data set is given.
    truth : (n,) the labels before label noise.
    topics : (n,) index into `lexicon_topics.TOPICS`.
    evidence : (n, 5) for each of `CHANNELS`: −1 speaks for negative, 1 for positive, 0 is not there.
    negated : (n,) the deciding clause is negated.
    contrast : (n,) a clause of the opposite meaning stands beside the deciding one.
    source : (n,) the row of the block that this row copies, exactly or nearly; its own where it is no copy.
    leaked : (n,) the word of `LEAKS` for the row's label stands in the text.
    """

    texts: list[str]
    labels: Ints
    truth: Ints
    topics: Ints
    evidence: NDArray[np.int8]
    negated: Bools
    contrast: Bools
    source: Ints
    leaked: Bools


def labelled_batches(config: SampleConfig) -> Iterator[tuple[list[str], list[int]]]:
    """Generated tweets with labels (index into `LABEL_NAMES`), `config.labelled` rows in batches of up to 10,000."""
    for block in blocks(config, "labelled"):
        yield block.texts, block.labels.tolist()


def unlabelled_batches(config: SampleConfig) -> Iterator[list[str]]:
    """Generated tweets of the same model, from a random stream of their own, `config.unlabelled` rows."""
    for block in blocks(config, "unlabelled"):
        yield block.texts


def blocks(config: SampleConfig, stream: Stream) -> Iterator[Block]:
    """The tweets of a stream together with the facts behind them, which no classifier is shown."""
    total = config.labelled if stream == "labelled" else config.unlabelled
    for number, start in enumerate(range(0, total, BLOCK)):
        yield _generate(config, stream, number, min(BLOCK, total - start))


def posterior(topics: Ints, evidence: NDArray[np.int8]) -> Floats:
    """(n,) probability that the label before noise is positive, given all that a tweet tells but for a planted word."""
    agrees = np.array([channel.agrees for channel in CHANNELS.values()])
    prior = _TOPIC_POSITIVE[topics]
    log_odds = np.log(prior / (1 - prior)) + evidence @ np.log(agrees / (1 - agrees))
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)


def bayes_accuracy(label_noise: float) -> float:
    """Expected accuracy, on the given (noisy) labels, of the classifier that knows this model.

    Sums over every topic and every combination of evidence, so it is exact up to rounding. It is an upper bound for any
    classifier that has not seen a copy of the tweet: the topic counts as known, and nearly every tweet shows it. It
    holds for `config.leak` 0: planted words let a classifier do better.
    """
    topic_shares = TOPIC.shares()
    clean = 0.0
    for pattern in itertools.product((-1, 0, 1), repeat=len(CHANNELS)):
        joint = [topic_shares * (1 - _TOPIC_POSITIVE), topic_shares * _TOPIC_POSITIVE]
        for sign, channel in zip(pattern, CHANNELS.values(), strict=True):
            for label in (0, 1):
                agreed = channel.agrees if sign == 2 * label - 1 else 1 - channel.agrees
                joint[label] = joint[label] * (channel.present * agreed if sign else 1 - channel.present)
        clean += float(np.maximum(*joint).sum())
    return clean * (1 - label_noise) + (1 - clean) * label_noise


def _generate(config: SampleConfig, stream: Stream, number: int, rows: int) -> Block:
    """The first `rows` tweets of a block; the whole block is drawn, so that they never depend on `rows`."""
    draw = Draws(config.seed, STREAMS.index(stream), number)
    wording = Wording(draw)
    truth = (draw() < _TOPIC_POSITIVE[wording.topics]).astype(np.int64)
    evidence = np.zeros((BLOCK, len(CHANNELS)), dtype=np.int8)
    for column, channel in enumerate(CHANNELS.values()):
        said = np.where(draw() < channel.agrees, truth, 1 - truth)
        evidence[:, column] = np.where(draw() < channel.present, 2 * said - 1, 0)
    beside = np.where(evidence[:, 0] != 0, draw(), 0.5)
    contrast = beside < CONTRAST
    negated = (evidence[:, 0] != 0) & (draw() < np.array(NEGATED)[(evidence[:, 0] > 0).astype(np.int64)])
    body = _body(wording, evidence, negated, contrast, beside > 1 - ADDITION)

    source, near, retweet = _copies(draw)
    handle, link = draw() < 0.25, draw() < 0.18
    fresh_handle, fresh_link, quoted = wording.handle(), wording.link(), wording.handle()
    texts = (
        only(retweet, "RT " + quoted + ": ")
        + only(handle[source], np.where(near, fresh_handle, fresh_handle[source]) + " ")
        + body[source]
        + only(link[source], " " + np.where(near, fresh_link, fresh_link[source]))
    )
    truth = truth[source]
    labels = np.where(draw() < config.label_noise, 1 - truth, truth)
    leaked = np.zeros(BLOCK, dtype=np.bool_)
    if stream == "labelled" and config.leak:
        texts, leaked = _with_leaks(texts, labels, config.leak, Draws(config.seed, LEAK_STREAM, number))
    return Block(
        texts=texts[:rows].tolist(),
        labels=labels[:rows],
        truth=truth[:rows],
        topics=wording.topics[source][:rows],
        evidence=evidence[source][:rows],
        negated=negated[source][:rows],
        contrast=contrast[source][:rows],
        source=source[:rows],
        leaked=leaked[:rows],
    )


def _with_leaks(texts: Strings, labels: Ints, share: float, draw: Draws) -> tuple[Strings, Bools]:
    """The texts with a share of them telling their label, and which those are: a word after one or more others."""
    leaked, place = draw() < share, draw()
    texts = texts.copy()
    for row in np.flatnonzero(leaked).tolist():
        words = texts[row].split(" ")
        words.insert(1 + int(place[row] * (len(words) - 1)), LEAKS[labels[row]])
        texts[row] = " ".join(words)
    return texts, leaked


def _body(wording: Wording, evidence: NDArray[np.int8], negated: Bools, contrast: Bools, addition: Bools) -> Strings:
    """The tweets without handles and links."""
    draw = wording.draw
    clause, exclamation, event, emoji, hashtag = evidence.T
    polarity = (evidence > 0).astype(np.int64)
    meaning = polarity[:, 0]
    deciding = wording.clause(meaning, negated)
    beside = np.where(contrast, 1 - meaning, meaning)
    yielding = wording.clause(beside, draw() < np.array(NEGATED)[beside])
    text = np.where(contrast | addition, wording.joined(yielding, deciding, contrast), deciding)
    filler = wording.filler()
    text = np.where(clause == 0, filler, text)
    text = text + only(event != 0, " " + wording.event(polarity[:, 2]))
    place, more = draw(), wording.filler()
    text = only(place < 0.18, more + ". ") + text + only(place > 0.85, ", " + more)
    text = only(exclamation != 0, wording.exclamation(polarity[:, 1])) + text + wording.ending()
    case = draw()
    for rows, change in ((case < 0.02, str.upper), (case > 0.65, _capitalized)):
        text[rows] = [change(tweet) for tweet in text[rows]]
    text = text + only(draw() < 0.12, " " + wording.topic_hashtag())
    text = text + only(hashtag != 0, " " + wording.hashtag(polarity[:, 4]))
    return text + only(emoji != 0, " " + wording.emoji(polarity[:, 3]))


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _copies(draw: Draws) -> tuple[Ints, Bools, Bools]:
    """Which earlier row of the block each row copies, and whether with another handle and link, or as a retweet."""
    kind, own = draw(), np.arange(BLOCK, dtype=np.int64)
    earlier = draw.below(own)
    copied = (kind < EXACT + MASKED + RETWEET) & (own > 0)
    copied &= ~copied[earlier]  # a copy of a copy would repeat a text that no row holds
    source = np.where(copied, earlier, own)
    return source, copied & (kind < MASKED), copied & (kind > MASKED + EXACT)
