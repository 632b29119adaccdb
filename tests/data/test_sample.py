import hashlib
import re
from collections import Counter

import numpy as np
import pytest
from gensim.test.utils import datapath
from nltk.stem import PorterStemmer
from scipy.stats import binom
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline.config.schema import SampleConfig
from pipeline.data.sample import generate as sample
from pipeline.data.sample import sentences, words
from pipeline.data.sample.words import TOPICS

TOPIC_WORDS = {word for topic in TOPICS for word_list in topic.word_lists() for word in word_list}
EVENTS = [{word for topic in TOPICS for word in topic.events[polarity]} for polarity in (0, 1)]
CLAUSE_WORDS = {w: g for g in words.SYNONYM_GROUPS if g.kind in words.TEMPLATES for w in g.words}
FRONT_WORDS = {w: g for g in words.SYNONYM_GROUPS if g.kind not in words.TEMPLATES for w in g.words}
SPELLINGS = {
    spelling: word
    for spellings in (sentences._MISSPELT, sentences._ELONGATED)
    for spelling, word in zip(spellings, sentences._SENTIMENT.entries, strict=True)
}

FIRST_TEXT = (
    "such a stupid professor at the classroom even though this scientist and i like the page before the detention. 😭"
)
DIGEST = "c38ab3de07dd8609"  # of 12,000 rows; changes only when the data set is meant to change


def config(labelled=10_000, unlabelled=0, seed=0, label_noise=0.05, leak=0.0):
    return SampleConfig(labelled, unlabelled, seed, label_noise, leak)


def posterior(topics, evidence):
    """(n,) probability that the label before noise is positive, given topic and evidence; ignores planted words."""
    agrees = np.array([channel.agrees for channel in sample.CHANNELS.values()])
    prior = np.array([topic.positive for topic in TOPICS])[topics]
    log_odds = np.log(prior / (1 - prior)) + evidence @ np.log(agrees / (1 - agrees))
    return 1 / (1 + np.exp(-log_odds))


@pytest.fixture(scope="module")
def blocks():
    return list(sample.blocks(config(50_000), "labelled"))


def hidden(blocks, name, *, copies=True):
    parts = [getattr(b, name) if copies else getattr(b, name)[b.source == np.arange(len(b.source))] for b in blocks]
    return np.concatenate(parts)


def within_chance(hits, total, share):
    """Whether a count is what its share makes likely: outside this interval once in a million."""
    low, high = binom.interval(1 - 1e-6, total, share)
    return low <= hits <= high


def clause_meanings(text):
    """−1 or 1 for each sentiment clause, read from the text alone, as one who knows the language reads it."""
    negated, meanings = False, []
    for token in re.findall(r"[a-z0-9']+", re.sub(r"https://\S+|[@#]\w+", " ", text.lower())):
        word = SPELLINGS.get(token, token)
        if token in words.NEGATORS:
            negated = True
        elif word in CLAUSE_WORDS:
            meanings.append((2 * CLAUSE_WORDS[word].polarity - 1) * (-1 if negated else 1))
            negated = False
    return meanings


def test_same_seed_same_bytes_and_the_recorded_ones():
    first, again = (list(sample.labelled_batches(config(12_000))) for _ in range(2))
    assert first == again
    assert [len(texts) for texts, _ in first] == [10_000, 2_000]
    assert first[0][0][0] == FIRST_TEXT
    digest = hashlib.blake2b(digest_size=8)
    for texts, labels in first:
        digest.update("\n".join(texts).encode() + bytes(labels))
    assert digest.hexdigest() == DIGEST


def test_rows_do_not_depend_on_the_size():
    (whole,) = sample.labelled_batches(config(10_000))
    (part,) = sample.labelled_batches(config(37))
    assert part == (whole[0][:37], whole[1][:37])
    longer = list(sample.labelled_batches(config(10_001)))
    assert longer[0] == whole
    assert len(longer[1][0]) == len(longer[1][1]) == 1
    short, long = ([t for b in sample.unlabelled_batches(config(30, n)) for t in b] for n in (10_500, 11_000))
    assert short == long[:10_500]


def test_streams_blocks_and_seeds_differ():
    streams = [
        *(texts for texts, _ in sample.labelled_batches(config(20_000))),
        *sample.unlabelled_batches(config(30, 20_000)),
        *(texts for texts, _ in sample.labelled_batches(config(10_000, seed=1))),
    ]
    for number, texts in enumerate(streams):
        for other in streams[:number]:
            assert len(set(texts) & set(other)) < 20  # a very short tweet may come twice


def test_no_unlabelled_rows():
    assert list(sample.unlabelled_batches(config(30, 0))) == []


def test_label_noise_flips_labels_and_nothing_else():
    (quiet,) = sample.blocks(config(label_noise=0), "labelled")
    (noisy,) = sample.blocks(config(label_noise=0.2), "labelled")
    assert quiet.texts == noisy.texts
    assert np.array_equal(quiet.labels, quiet.truth)
    assert np.array_equal(quiet.truth, noisy.truth)
    assert within_chance(int((noisy.labels != noisy.truth).sum()), 10_000, 0.2)
    for label in (0, 1):
        of_label = noisy.truth == label
        assert within_chance(int((noisy.labels != label)[of_label].sum()), int(of_label.sum()), 0.2)


def test_planted_words_tell_the_given_label_and_change_nothing_else():
    (plain,) = sample.blocks(config(label_noise=0.2), "labelled")
    (leaky,) = sample.blocks(config(label_noise=0.2, leak=0.3), "labelled")
    for name in ("labels", "truth", "topics", "evidence", "negated", "contrast", "source"):
        assert np.array_equal(getattr(plain, name), getattr(leaky, name))
    assert not plain.leaked.any()
    assert within_chance(int(leaky.leaked.sum()), 10_000, 0.3)
    assert within_chance(int((leaky.labels != leaky.truth)[leaky.leaked].sum()), int(leaky.leaked.sum()), 0.2)
    positions = []
    for before, after, label, leaked in zip(plain.texts, leaky.texts, leaky.labels, leaky.leaked, strict=True):
        tokens = after.split(" ")
        if leaked:
            position = tokens.index(sample.LEAKS[label])
            positions.append((position - 1) / max(1, len(tokens) - 3) if len(tokens) > 3 else 0.5)
            assert position > 0
            assert position < len(tokens) - 1 or " " not in before
            tokens.pop(position)
        assert " ".join(tokens) == before
    assert np.histogram(positions, bins=4, range=(0, 1))[0].min() > 0.15 * len(positions)


def test_planted_words_are_nested_and_do_not_depend_on_the_size():
    (few,), (many,), (every,) = (sample.blocks(config(leak=share), "labelled") for share in (0.1, 0.4, 1.0))
    assert not (few.leaked & ~many.leaked).any()
    assert every.leaked.all()
    (part,) = sample.labelled_batches(config(41, leak=0.4))
    assert part[0] == many.texts[:41]
    second = list(sample.blocks(config(20_000, leak=0.4), "labelled"))[1]
    assert not np.array_equal(second.leaked, many.leaked)


def test_planted_words_stand_in_no_other_text():
    texts = [text for batch in sample.unlabelled_batches(config(30, 20_000, leak=1.0)) for text in batch]
    texts += next(sample.labelled_batches(config()))[0]
    assert not any(word in text.lower() for word in sample.LEAKS for text in texts)
    assert [PorterStemmer().stem(word) for word in sample.LEAKS] == list(sample.LEAKS)
    assert not set(sample.LEAKS) & (TOPIC_WORDS | set(words.POLARITY) | set(SPELLINGS))


@pytest.mark.parametrize(("column", "name"), list(enumerate(sample.CHANNELS)))
def test_rate_and_agreement_of_each_kind_of_evidence(blocks, column, name):
    evidence = hidden(blocks, "evidence", copies=False)[:, column]
    truth = hidden(blocks, "truth", copies=False)
    for label in (0, 1):
        polarity = evidence[truth == label]
        present = int((polarity != 0).sum())
        assert within_chance(present, len(polarity), sample.CHANNELS[name].present)
        assert within_chance(int((polarity == 2 * label - 1).sum()), present, sample.CHANNELS[name].agrees)


def test_rates_of_negation_contrast_topics_labels_and_copies(blocks):
    clause = hidden(blocks, "evidence", copies=False)[:, 0]
    negated, contrast = hidden(blocks, "negated", copies=False), hidden(blocks, "contrast", copies=False)
    assert not (negated | contrast)[clause == 0].any()
    for sign, share in zip((-1, 1), sample.NEGATED, strict=True):
        assert within_chance(int(negated[clause == sign].sum()), int((clause == sign).sum()), share)
    assert within_chance(int(contrast.sum()), int((clause != 0).sum()), sample.CONTRAST)
    topics, truth = hidden(blocks, "topics", copies=False), hidden(blocks, "truth", copies=False)
    for number, (topic, share) in enumerate(zip(TOPICS, sentences.TOPIC.shares(), strict=True)):
        of_topic = topics == number
        assert within_chance(int(of_topic.sum()), len(topics), share)
        assert within_chance(int(truth[of_topic].sum()), int(of_topic.sum()), topic.positive)
    share = sample.EXACT + sample.MASKED + sample.RETWEET
    assert share * (1 - share) * 0.9 < 1 - len(topics) / 50_000 < share


def test_the_evidence_can_be_read_from_the_text(blocks):
    """The word lists recover all evidence from the text, so an ideal classifier could."""
    block = blocks[0]
    for text, evidence in zip(block.texts, block.evidence, strict=True):
        clause, front, event, emoji, hashtag = evidence.tolist()
        deciding = clause_meanings(re.split(" even though ", text, flags=re.IGNORECASE)[0])[-1:] or [0]
        assert deciding == [clause], text
        body = re.sub(r"^(RT @\w+: )?(@\w+ )?|( https://\S+)$", "", text)
        tokens = re.findall(r"(?<![#\w'])[a-z0-9']+", body.lower())
        first = FRONT_WORDS.get(tokens[0])
        assert front == (0 if first is None else 2 * first.polarity - 1), text
        assert event == sum(2 * k - 1 for k in (0, 1) if EVENTS[k] & set(tokens)), text
        last = body.rsplit(" ", 1)[-1]
        assert emoji == sum(2 * k - 1 for k in (0, 1) if last in words.EMOJI[k]), text
        tags = set(re.findall(r"#(\w+)", body))
        assert hashtag == sum(2 * k - 1 for k in (0, 1) if tags & set(words.HASHTAGS[k])), text


def test_clauses_in_contrast_disagree_and_others_agree(blocks):
    block = blocks[0]
    for text, clause, contrast in zip(block.texts, block.evidence[:, 0].tolist(), block.contrast, strict=True):
        meanings = clause_meanings(text)
        if contrast:
            assert sorted(meanings) == [-1, 1], text
        else:
            assert meanings in ([clause], [clause, clause]) if clause else meanings == [], text
    two = [len(clause_meanings(text)) == 2 for text in block.texts]
    assert within_chance(sum(two), len(two), sample.CHANNELS["clause"].present * (sample.CONTRAST + sample.ADDITION))


def test_negation_makes_the_word_say_the_opposite(blocks):
    block = blocks[0]
    checked = 0
    for row in np.flatnonzero((block.evidence[:, 0] != 0) & ~block.contrast):
        tokens = re.findall(r"(?<![#@\w'])[a-z0-9']+", block.texts[row].lower())
        correct = [SPELLINGS.get(token, token) for token in tokens]
        polarities = [CLAUSE_WORDS[word].polarity for word in correct if word in CLAUSE_WORDS]
        if len(polarities) == 1:
            checked += 1
            assert (2 * polarities[0] - 1 != block.evidence[row, 0]) == block.negated[row]
    assert checked > 4_000


def test_copies_repeat_an_earlier_row_of_their_block(blocks):
    kinds = Counter()
    for block in blocks[:2]:
        for row in np.flatnonzero(block.source != np.arange(len(block.texts))):
            text, original = block.texts[row], block.texts[block.source[row]]
            assert block.source[row] < row
            assert block.source[block.source[row]] == block.source[row]
            assert block.truth[row] == block.truth[block.source[row]]
            masked, masked_original = (re.sub(r"^@\w+|https://\S+$", "*", t) for t in (text, original))
            if text == original:
                kinds["exact"] += 1
            elif re.sub(r"^RT @\w+: ", "", text) == original:
                kinds["retweet"] += 1
            else:
                assert masked == masked_original
                kinds["masked"] += 1
    assert min(kinds.values()) > 50
    assert set(kinds) == {"exact", "retweet", "masked"}


def test_no_word_decides_the_label(blocks):
    seen, positive = Counter(), Counter()
    for text, label in zip(blocks[0].texts, blocks[0].labels.tolist(), strict=True):
        for token in set(text.lower().split()) | set(re.findall(r"\w+", text.lower())):
            seen[token] += 1
            positive[token] += label
    frequent = {token: positive[token] / count for token, count in seen.items() if count >= 20}
    assert len(frequent) > 1_000
    assert all(0.03 <= share <= 0.97 for share in frequent.values())


def test_ideal_accuracy_equals_simulation(blocks):
    topics, evidence = hidden(blocks, "topics", copies=False), hidden(blocks, "evidence", copies=False)
    truth, labels = hidden(blocks, "truth", copies=False), hidden(blocks, "labels", copies=False)
    probability = posterior(topics, evidence)
    guess = probability > 0.5
    assert within_chance(int((guess == truth).sum()), len(truth), sample.bayes_accuracy(0))
    assert within_chance(int((guess == labels).sum()), len(labels), sample.bayes_accuracy(0.05))
    # The mean confidence estimates the same number with less noise.
    assert np.maximum(probability, 1 - probability).mean() == pytest.approx(sample.bayes_accuracy(0), abs=0.002)
    for low, high in ((0.02, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.98)):
        rows = (probability > low) & (probability < high)
        assert truth[rows].mean() == pytest.approx(probability[rows].mean(), abs=0.06)


def test_ideal_accuracy_of_known_cases(monkeypatch):
    assert sample.bayes_accuracy(0.5) == pytest.approx(0.5)
    clean = sample.bayes_accuracy(0)
    assert sample.bayes_accuracy(0.1) == pytest.approx(0.9 * clean + 0.1 * (1 - clean))
    assert 0.90 < sample.bayes_accuracy(0.05) < 0.95
    only_clause = {name: sample.Channel(0.0, 0.5) for name in sample.CHANNELS} | {"clause": sample.Channel(0.8, 0.9)}
    monkeypatch.setattr(sample, "CHANNELS", only_clause)
    prior = [max(t.positive, 1 - t.positive) for t in TOPICS]
    assert sample.bayes_accuracy(0) == pytest.approx(0.8 * 0.9 + 0.2 * np.dot(sentences.TOPIC.shares(), prior))


def test_word_lists_do_not_overlap():
    sentiment_words = [word for group in words.SYNONYM_GROUPS for word in group.words]
    assert len(sentiment_words) == len(set(sentiment_words)) > 500
    assert not set(sentiment_words) & TOPIC_WORDS
    assert len(TOPIC_WORDS) > 1_000
    small = set(words.DETERMINERS) | set(words.INTENSIFIERS) | set(words.ADJECTIVES)
    small |= {word for phrase in (*words.TIMES, *words.ENDINGS) for word in phrase.split()}
    templates = [t for kinds in (words.TEMPLATES, words.NEGATED_TEMPLATES) for kind in kinds.values() for t in kind]
    templates += [*words.NEUTRAL_TEMPLATES, *words.EVENT_TEMPLATES]
    templates += [*words.CONTRAST_TEMPLATES, *words.ADDITION_TEMPLATES]
    literal = small | set(re.findall(r"[a-z']+", re.sub(r"\{.\}|&amp;", " ", " ".join(templates))))
    spellings = set(SPELLINGS) - set(sentiment_words)
    assert not literal & set(sentiment_words)
    assert not (literal | TOPIC_WORDS) & spellings
    assert not EVENTS[0] & EVENTS[1]
    assert not (EVENTS[0] | EVENTS[1]) & literal
    others = {word for t in TOPICS for ws in (*t.themes, t.places, t.people, t.verbs) for word in ws}
    assert not (EVENTS[0] | EVENTS[1]) & others
    hashtags = [set(tags) for tags in words.HASHTAGS]
    assert not hashtags[0] & hashtags[1]
    assert not (hashtags[0] | hashtags[1]) & TOPIC_WORDS
    assert not set(words.EMOJI[0]) & set(words.EMOJI[1])


def test_synonyms_and_antonyms_are_pairs_of_groups():
    for negative, positive in words.PAIRS:
        assert (negative.polarity, positive.polarity) == (0, 1)
        assert (negative.kind, negative.topics) == (positive.kind, positive.topics)
        assert set(negative.topics) <= {topic.name for topic in TOPICS}
    antonyms = [(positive.words[0], negative.words[0]) for negative, positive in words.PAIRS]
    assert {("good", "bad"), ("happy", "sad"), ("love", "hate"), ("smart", "stupid")} <= set(antonyms)
    assert all(words.POLARITY[a] == 1 and words.POLARITY[b] == 0 for a, b in antonyms)
    assert set(words.TEMPLATES) == set(words.NEGATED_TEMPLATES)


def test_every_negated_template_holds_one_negator_and_no_other_template_does():
    def negators(template):
        return words.NEGATORS & set(re.findall(r"[a-z']+", template))

    for kind, templates in words.NEGATED_TEMPLATES.items():
        assert all(len(negators(template)) == 1 for template in templates), kind
        for template in templates:
            assert template.index(min(negators(template))) < re.search(r"\{[SA]\}", template).start()
    others = [template for templates in words.TEMPLATES.values() for template in templates]
    assert not any(map(negators, (*others, *words.NEUTRAL_TEMPLATES, *words.EVENT_TEMPLATES)))


def test_word_similarity_sets_are_covered():
    known = TOPIC_WORDS | set(words.POLARITY)
    for name, share in (("wordsim353.tsv", 0.5), ("simlex999.txt", 0.5)):
        with open(datapath(name), encoding="utf-8") as lines:
            pairs = [line.lower().split()[:2] for line in lines if not line.startswith("#")]
        assert np.mean([first in known and second in known for first, second in pairs]) > share


def test_sentiment_words_have_a_long_tail(blocks):
    counts = Counter(
        token for block in blocks[:1] for text in block.texts for token in re.findall(r"[a-z0-9]+", text.lower())
    )
    groups = [group.words for group in words.SYNONYM_GROUPS]
    frequent = np.array([counts[word] for group in groups for word in group[:3] if word in CLAUSE_WORDS])
    rare = np.array([counts[word] for group in groups for word in group[8:] if word in CLAUSE_WORDS])
    assert np.median(frequent) > 5 * np.median(rare)
    few = set(re.findall(r"[a-z0-9]+", " ".join(blocks[0].texts[:300]).lower()))
    assert 0.3 < np.mean([word in few for word in CLAUSE_WORDS]) < 0.6


def test_a_bag_of_words_learns_slowly_and_stays_below_the_ideal(blocks):
    texts = [text for block in blocks[:2] for text in block.texts]
    labels = hidden(blocks[:2], "labels")
    scores = []
    for size in (300, 8_000):
        vectorizer = CountVectorizer(token_pattern=r"\S+", binary=True)
        model = LogisticRegression(C=0.3, max_iter=500).fit(vectorizer.fit_transform(texts[:size]), labels[:size])
        scores.append(model.score(vectorizer.transform(texts[10_000:]), labels[10_000:]))
    assert 0.58 < scores[0] < 0.72
    assert 0.77 < scores[1] < 0.86
    assert scores[1] < sample.bayes_accuracy(0.05) - 0.05


def test_posterior_adds_the_evidence_up():
    topics = np.zeros(4, dtype=np.int64)
    evidence = np.array([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, -1, 0], [-1, -1, -1, -1, -1]], dtype=np.int8)
    prior, clause, emoji = TOPICS[0].positive, sample.CHANNELS["clause"].agrees, sample.CHANNELS["emoji"].agrees
    positive = [prior, prior * clause, prior * clause * (1 - emoji)]
    negative = [1 - prior, (1 - prior) * (1 - clause), (1 - prior) * (1 - clause) * emoji]
    expected = [p / (p + n) for p, n in zip(positive, negative, strict=True)]
    assert posterior(topics, evidence)[:3] == pytest.approx(expected)
    assert posterior(topics, evidence)[3] < 0.001


def test_tables_draw_each_entry_as_often_as_it_weighs():
    table = sentences.WeightedTable([["a", "b"], ["c", "d", "e"]], [[3, 1], [1, 1, 2]])
    grid = (np.arange(8) + 0.5) / 8
    assert Counter(table.choose(grid)) == {"a": 6, "b": 2}
    assert Counter(table.choose(grid, np.ones(8, dtype=np.int64))) == {"c": 2, "d": 2, "e": 4}
    edges = np.array([0.0, 1 - 2.0**-32])
    assert list(table.choose(edges, 0)) == ["a", "b"]
    assert list(table.choose(edges, 1)) == ["c", "e"]
    assert table.shares(1) == pytest.approx([0.25, 0.25, 0.5])


def test_templates_fill_their_slots_and_leave_the_rest_empty():
    templates = sentences.Templates(("{A} is {B}", "no {B}!"))
    slots = {"A": np.array(["x", "y", "z"], dtype=object), "B": np.array(["1", "2", "3"], dtype=object)}
    assert templates.fill(np.array([1, -1, 0]), slots).tolist() == ["no 1!", "", "z is 3"]
