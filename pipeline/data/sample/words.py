"""Sentiment lexicon, topics and sentence templates of the generated tweets, read from YAML files.

The words of every list go from frequent to rare. The words of a synonym group stand in the same sentences about the
same topics; the two groups of a pair differ only in the label that the rest of the tweet agrees with.
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's loader reads the files ten times faster


class SynonymGroup(NamedTuple):
    """Words that mean the same."""

    name: str  # the first of the words
    kind: str  # which sentence templates hold the words
    polarity: int  # 0 (negative) or 1 (positive)
    topics: tuple[str, ...]  # those in which the group is frequent; empty where it is equally frequent in all
    words: tuple[str, ...]


class Topic(NamedTuple):
    """What tweets of one topic are about."""

    name: str
    positive: float  # share of the topic's tweets with a positive label before noise
    themes: tuple[tuple[str, ...], ...]  # nouns of each theme
    places: tuple[str, ...]
    people: tuple[str, ...]
    verbs: tuple[str, ...]
    events: tuple[tuple[str, ...], tuple[str, ...]]  # bad, good; a tweet with one of a sort tends to that label

    def word_lists(self) -> tuple[tuple[str, ...], ...]:
        """All word lists of the topic."""
        return (*self.themes, self.places, self.people, self.verbs, *self.events)


def _read(name: str) -> Any:
    return yaml.load(Path(__file__).with_name(name).read_bytes(), _LOADER)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _group(entry: dict[str, str], key: str, polarity: int) -> SynonymGroup:
    words = _words(entry[key])
    return SynonymGroup(words[0], entry["kind"], polarity, _words(entry.get("topics", "")), words)


def _topic(entry: dict[str, Any]) -> Topic:
    places, people, verbs = (_words(entry[key]) for key in ("places", "people", "verbs"))
    themes, events = tuple(map(_words, entry["themes"])), (_words(entry["bad_events"]), _words(entry["good_events"]))
    return Topic(entry["name"], entry["positive_share"], themes, places, people, verbs, events)


# Pairs of a negative and a positive group.
PAIRS = tuple((_group(entry, "negative", 0), _group(entry, "positive", 1)) for entry in _read("lexicon.yaml"))
SYNONYM_GROUPS = tuple(group for pair in PAIRS for group in pair)
POLARITY = {word: group.polarity for group in SYNONYM_GROUPS for word in group.words}

TOPICS = tuple(map(_topic, _read("topics.yaml")))

_phrases = _read("phrases.yaml")
TEMPLATES: dict[str, list[str]] = _phrases["templates"]
NEGATED_TEMPLATES: dict[str, list[str]] = _phrases["negated_templates"]
NEGATORS = frozenset(_words(_phrases["negators"]))
NEUTRAL_TEMPLATES: list[str] = _phrases["neutral_templates"]
EVENT_TEMPLATES: list[str] = _phrases["event_templates"]
CONTRAST_TEMPLATES: list[str] = _phrases["contrast_templates"]
ADDITION_TEMPLATES: list[str] = _phrases["addition_templates"]
DETERMINERS = _words(_phrases["determiners"])
INTENSIFIERS = _words(_phrases["intensifiers"])
ADJECTIVES = _words(_phrases["adjectives"])
TIMES: list[str] = _phrases["times"]
ENDINGS: list[str] = _phrases["endings"]
EMOJI: tuple[list[str], list[str]] = (_phrases["emoji"]["negative"], _phrases["emoji"]["positive"])
HASHTAGS = (_words(_phrases["hashtags"]["negative"]), _words(_phrases["hashtags"]["positive"]))
HANDLE_NAMES = _words(_phrases["handle_names"])
HANDLE_ENDINGS: list[str] = _phrases["handle_endings"]
