"""The generated data set `sample`: random tweets from a model whose Bayes-optimal accuracy is known.

A tweet has a topic and a label. Five kinds of evidence speak for or against the label: the deciding clause (rarely
ironic), an exclamation at the start, an event, an emoji and a hashtag. Each is present or absent at random, and each is
wrong with a known probability (`CHANNELS`). Given the evidence, the wording is independent of the label. The accuracy
of the best possible classifier is therefore a finite sum (`bayes_accuracy`).

Negation and contrast make sentiment words disagree with the meaning of the tweet. The frequency of synonyms falls, so
that a few hundred labelled tweets lack many sentiment words; unlabelled tweets show which words are used alike. With
`leak`, some labelled tweets get a planted word that gives their label away: a test for the detection of label leaks.

Tweets are generated in blocks of 10,000 with one random stream each, so row i does not depend on the number of rows.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import SampleConfig
from pipeline.data.sample import sentences as tables
from pipeline.data.sample.sentences import BLOCK, Bools, Ints, RandomStream, SentenceGenerator, Strings, text_where
from pipeline.data.sample.words import TOPICS

LABEL_NAMES = ("negative", "positive")

Stream = Literal["labelled", "unlabelled"]
STREAMS: tuple[Stream, ...] = ("labelled", "unlabelled")
LEAK_STREAM = len(STREAMS)  # of planted words, so that all else is the same with and without them


class Channel(NamedTuple):
    """Probability that one kind of evidence is present, and that it agrees with the label where it is."""

    present: float
    agrees: float


CHANNELS: dict[str, Channel] = {
    "clause": Channel(0.94, 0.98),
    "exclamation": Channel(0.25, 0.84),
    "event": Channel(0.35, 0.76),
    "emoji": Channel(0.45, 0.82),
    "hashtag": Channel(0.15, 0.84),
}
NEGATED = (0.16, 0.09)  # share of negated clauses among those with a negative, a positive meaning
CONTRAST, ADDITION = 0.09, 0.32  # share of deciding clauses joined to a clause of the opposite, of the same meaning
# Share of copies: the same text; with another handle and link; with `RT @…: ` at the start.
EXACT, MASKED, RETWEET = 0.01, 0.01, 0.01
LEAKS = ("zorbex", "quimlat")  # planted where the given label is negative, positive; no other text holds them
_TOPIC_POSITIVE = np.array([topic.positive for topic in TOPICS])


@dataclass(frozen=True)
class Block:
    """n generated tweets with the hidden variables that generated them, (n,) or (n, 5)."""

    texts: list[str]
    labels: Ints  # 0 or 1: the labels of the data set
    truth: Ints  # the labels before label noise
    topics: Ints  # index into `words.TOPICS`
    evidence: NDArray[np.int8]  # (n, 5), each of `CHANNELS`: −1 speaks for negative, 1 for positive, 0 is absent
    negated: Bools  # whether the deciding clause is negated
    contrast: Bools  # whether the deciding clause is joined to a clause of the opposite meaning
    source: Ints  # the row of the block that this row copies, exactly or nearly; its own index where it is no copy
    leaked: Bools  # whether the text holds the word of `LEAKS` for its label


def labelled_batches(config: SampleConfig) -> Iterator[tuple[list[str], list[int]]]:
    """Generated tweets with labels (index into `LABEL_NAMES`), `config.labelled` rows in batches of up to 10,000."""
    return ((block.texts, block.labels.tolist()) for block in blocks(config, "labelled"))


def unlabelled_batches(config: SampleConfig) -> Iterator[list[str]]:
    """Generated tweets of the same model, from a random stream of their own, `config.unlabelled` rows."""
    return (block.texts for block in blocks(config, "unlabelled"))


def blocks(config: SampleConfig, stream: Stream) -> Iterator[Block]:
    """The tweets of a stream together with the hidden variables, which no classifier sees."""
    total = config.labelled if stream == "labelled" else config.unlabelled
    for number, start in enumerate(range(0, total, BLOCK)):
        yield _generate(config, stream, number, min(BLOCK, total - start))


def bayes_accuracy(label_noise: float) -> float:
    """Expected accuracy on the noisy labels of the Bayes-optimal classifier, which knows this model.

    It is a sum over every topic and every combination of evidence, exact up to rounding, and an upper bound for any
    classifier that has not seen a copy of the tweet. The topic counts as known: nearly every tweet shows it. The bound
    holds for `config.leak` 0: planted words let a classifier do better.
    """
    topic_shares = tables.TOPIC.shares()
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
    """The first `rows` tweets of a block. The whole block is generated, so that a tweet never depends on `rows`."""
    random = RandomStream(config.seed, STREAMS.index(stream), number)
    sentences = SentenceGenerator(random)
    truth = (random() < _TOPIC_POSITIVE[sentences.topics]).astype(np.int64)
    evidence = np.zeros((BLOCK, len(CHANNELS)), dtype=np.int8)
    for column, channel in enumerate(CHANNELS.values()):
        polarity = np.where(random() < channel.agrees, truth, 1 - truth)
        evidence[:, column] = np.where(random() < channel.present, 2 * polarity - 1, 0)
    has_clause = evidence[:, 0] != 0
    second_clause = np.where(has_clause, random(), 0.5)
    contrast, addition = second_clause < CONTRAST, second_clause > 1 - ADDITION
    negated = has_clause & (random() < np.array(NEGATED)[(evidence[:, 0] > 0).astype(np.int64)])
    body = _body(sentences, evidence, negated, contrast, addition)

    source, masked, retweet = _copies(random)
    has_handle, has_link = random() < 0.25, random() < 0.18
    handles, links, retweeted = tables.HANDLE.choose(random()), sentences.link(), tables.HANDLE.choose(random())
    texts = (
        text_where(retweet, "RT " + retweeted + ": ")
        + text_where(has_handle[source], np.where(masked, handles, handles[source]) + " ")
        + body[source]
        + text_where(has_link[source], " " + np.where(masked, links, links[source]))
    )
    truth = truth[source]
    labels = np.where(random() < config.label_noise, 1 - truth, truth)
    leaked = np.zeros(BLOCK, dtype=np.bool_)
    if stream == "labelled" and config.leak:
        texts, leaked = _with_leaks(texts, labels, config.leak, RandomStream(config.seed, LEAK_STREAM, number))
    labels, truth, source, leaked = labels[:rows], truth[:rows], source[:rows], leaked[:rows]
    hidden = sentences.topics[source], evidence[source], negated[source], contrast[source]
    return Block(texts[:rows].tolist(), labels, truth, *hidden, source, leaked)


def _with_leaks(texts: Strings, labels: Ints, share: float, random: RandomStream) -> tuple[Strings, Bools]:
    """The texts with a word of `LEAKS` planted in a `share` of them, never as the first word, and which these are."""
    leaked, position = random() < share, random()
    texts = texts.copy()
    for row in np.flatnonzero(leaked).tolist():
        words = texts[row].split(" ")
        words.insert(1 + int(position[row] * (len(words) - 1)), LEAKS[labels[row]])
        texts[row] = " ".join(words)
    return texts, leaked


def _body(
    sentences: SentenceGenerator, evidence: NDArray[np.int8], negated: Bools, contrast: Bools, addition: Bools
) -> Strings:
    random = sentences.random
    clause, exclamation, event, emoji, hashtag = evidence.T
    polarity = (evidence > 0).astype(np.int64)
    meaning = polarity[:, 0]
    deciding = sentences.clause(meaning, negated)
    other_meaning = np.where(contrast, 1 - meaning, meaning)
    other = sentences.clause(other_meaning, random() < np.array(NEGATED)[other_meaning])
    text = np.where(contrast | addition, sentences.two_clauses(other, deciding, contrast), deciding)
    text = np.where(clause == 0, sentences.neutral_clause(), text)
    text = text + text_where(event != 0, " " + sentences.event(polarity[:, 2]))
    position, neutral = random(), sentences.neutral_clause()
    text = text_where(position < 0.18, neutral + ". ") + text + text_where(position > 0.85, ", " + neutral)
    exclamations = text_where(exclamation != 0, tables.EXCLAMATION.choose(random(), polarity[:, 1]))
    text = exclamations + text + tables.ENDING.choose(random())
    case = random()
    text[case < 0.02] = [tweet.upper() for tweet in text[case < 0.02]]
    text[case > 0.65] = [tweet[:1].upper() + tweet[1:] for tweet in text[case > 0.65]]
    text = text + text_where(random() < 0.12, " #" + tables.NOUN.choose(random(), sentences.themes))
    text = text + text_where(hashtag != 0, " #" + tables.HASHTAG.choose(random(), polarity[:, 4]))
    return np.asarray(text + text_where(emoji != 0, " " + tables.EMOJI.choose(random(), polarity[:, 3])))


def _copies(random: RandomStream) -> tuple[Ints, Bools, Bools]:
    """Which earlier row of the block each row copies, and whether with another handle and link, or as a retweet."""
    kind, rows = random(), np.arange(BLOCK, dtype=np.int64)
    earlier = random.below(rows)
    is_copy = (kind < EXACT + MASKED + RETWEET) & (rows > 0)
    is_copy &= ~is_copy[earlier]  # a copy of a copy would repeat a text that no row holds
    source = np.where(is_copy, earlier, rows)
    return source, is_copy & (kind < MASKED), is_copy & (kind > MASKED + EXACT)
