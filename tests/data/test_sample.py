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
from pipeline.data.sample import lexicon
from pipeline.data.sample import phrases as lexicon_phrases
from pipeline.data.sample import sentences as sample_wording
from pipeline.data.sample.topics import TOPICS

TOPIC_WORDS = {word for t in TOPICS for words in (*t.themes, t.places, t.people, t.verbs, *t.events) for word in words}
EVENTS = [{word for topic in TOPICS for word in topic.events[polarity]} for polarity in (0, 1)]
CLAUSE_WORDS = {w: g for g in lexicon.SYNONYM_GROUPS if g.kind in lexicon_phrases.FRAMES for w in g.words}
FRONT_WORDS = {w: g for g in lexicon.SYNONYM_GROUPS if g.kind not in lexicon_phrases.FRAMES for w in g.words}

FIRST_TEXT = (
    "such a stupid professor at the classroom even though this scientist and i like the page before the detention. 😭"
)
DIGEST = "c38ab3de07dd8609"  # of 12,000 rows; changes only when the data set is meant to change


def config(labelled=10_000, unlabelled=0, seed=0, label_noise=0.05, leak=0.0):
    return SampleConfig(labelled, unlabelled, seed, label_noise, leak)


@pytest.fixture(scope="module")
def blocks():
    return list(sample.blocks(config(50_000), "labelled"))


def facts(blocks, name, *, copies=True):
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
        word = sample_wording.SPELLINGS.get(token, token)
        if token in lexicon_phrases.NEGATORS:
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
    places = []
    for before, after, label, leaked in zip(plain.texts, leaky.texts, leaky.labels, leaky.leaked, strict=True):
        words = after.split(" ")
        if leaked:
            place = words.index(sample.LEAKS[label])
            places.append((place - 1) / max(1, len(words) - 3) if len(words) > 3 else 0.5)
            assert place > 0
            assert place < len(words) - 1 or " " not in before
            words.pop(place)
        assert " ".join(words) == before
    assert np.histogram(places, bins=4, range=(0, 1))[0].min() > 0.15 * len(places)


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
    assert not set(sample.LEAKS) & (TOPIC_WORDS | set(lexicon.POLARITY) | set(sample_wording.SPELLINGS))


@pytest.mark.parametrize(("column", "name"), list(enumerate(sample.CHANNELS)))
def test_rate_and_agreement_of_each_kind_of_evidence(blocks, column, name):
    evidence = facts(blocks, "evidence", copies=False)[:, column]
    truth = facts(blocks, "truth", copies=False)
    for label in (0, 1):
        said = evidence[truth == label]
        present = int((said != 0).sum())
        assert within_chance(present, len(said), sample.CHANNELS[name].present)
        assert within_chance(int((said == 2 * label - 1).sum()), present, sample.CHANNELS[name].agrees)


def test_rates_of_negation_contrast_topics_labels_and_copies(blocks):
    clause = facts(blocks, "evidence", copies=False)[:, 0]
    negated, contrast = facts(blocks, "negated", copies=False), facts(blocks, "contrast", copies=False)
    assert not (negated | contrast)[clause == 0].any()
    for sign, share in zip((-1, 1), sample.NEGATED, strict=True):
        assert within_chance(int(negated[clause == sign].sum()), int((clause == sign).sum()), share)
    assert within_chance(int(contrast.sum()), int((clause != 0).sum()), sample.CONTRAST)
    topics, truth = facts(blocks, "topics", copies=False), facts(blocks, "truth", copies=False)
    for number, (topic, share) in enumerate(zip(TOPICS, sample_wording.TOPIC.shares(), strict=True)):
        of_topic = topics == number
        assert within_chance(int(of_topic.sum()), len(topics), share)
        assert within_chance(int(truth[of_topic].sum()), int(of_topic.sum()), topic.positive)
    share = sample.EXACT + sample.MASKED + sample.RETWEET
    assert share * (1 - share) * 0.9 < 1 - len(topics) / 50_000 < share


def test_the_text_tells_the_evidence(blocks):
    """A reader of the text with the word lists in hand finds every fact, so an ideal classifier could."""
    block = blocks[0]
    for text, evidence in zip(block.texts, block.evidence, strict=True):
        clause, front, event, emoji, hashtag = evidence.tolist()
        deciding = clause_meanings(re.split(" even though ", text, flags=re.IGNORECASE)[0])[-1:] or [0]
        assert deciding == [clause], text
        body = re.sub(r"^(RT @\w+: )?(@\w+ )?|( https://\S+)$", "", text)
        words = re.findall(r"(?<![#\w'])[a-z0-9']+", body.lower())
        first = FRONT_WORDS.get(words[0])
        assert front == (0 if first is None else 2 * first.polarity - 1), text
        assert event == sum(2 * k - 1 for k in (0, 1) if EVENTS[k] & set(words)), text
        last = body.rsplit(" ", 1)[-1]
        assert emoji == sum(2 * k - 1 for k in (0, 1) if last in lexicon_phrases.EMOJI[k]), text
        tags = set(re.findall(r"#(\w+)", body))
        assert hashtag == sum(2 * k - 1 for k in (0, 1) if tags & set(lexicon_phrases.HASHTAGS[k])), text


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
        words = [sample_wording.SPELLINGS.get(token, token) for token in tokens]
        polar = [CLAUSE_WORDS[word].polarity for word in words if word in CLAUSE_WORDS]
        if len(polar) == 1:
            checked += 1
            assert (2 * polar[0] - 1 != block.evidence[row, 0]) == block.negated[row]
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
    topics, evidence = facts(blocks, "topics", copies=False), facts(blocks, "evidence", copies=False)
    truth, labels = facts(blocks, "truth", copies=False), facts(blocks, "labels", copies=False)
    probability = sample.posterior(topics, evidence)
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
    assert sample.bayes_accuracy(0) == pytest.approx(0.8 * 0.9 + 0.2 * np.dot(sample_wording.TOPIC.shares(), prior))


def test_word_lists_do_not_overlap():
    words = [word for group in lexicon.SYNONYM_GROUPS for word in group.words]
    assert len(words) == len(set(words)) > 500
    assert not set(words) & TOPIC_WORDS
    assert len(TOPIC_WORDS) > 1_000
    small = set(lexicon_phrases.DETERMINERS) | set(lexicon_phrases.INTENSIFIERS) | set(lexicon_phrases.ADJECTIVES)
    small |= {word for phrase in (*lexicon_phrases.TIMES, *lexicon_phrases.ENDINGS) for word in phrase.split()}
    frames = [f for kinds in (lexicon_phrases.FRAMES, lexicon_phrases.NEGATED) for fs in kinds.values() for f in fs]
    frames += [*lexicon_phrases.FILLERS, *lexicon_phrases.EVENT_TAILS]
    frames += [*lexicon_phrases.CONTRASTS, *lexicon_phrases.ADDITIONS]
    literal = small | set(re.findall(r"[a-z']+", re.sub(r"\{.\}|&amp;", " ", " ".join(frames))))
    spellings = set(sample_wording.SPELLINGS) - set(words)
    assert not literal & set(words)
    assert not (literal | TOPIC_WORDS) & spellings
    assert not EVENTS[0] & EVENTS[1]
    assert not (EVENTS[0] | EVENTS[1]) & literal
    others = {word for t in TOPICS for ws in (*t.themes, t.places, t.people, t.verbs) for word in ws}
    assert not (EVENTS[0] | EVENTS[1]) & others
    hashtags = [set(tags) for tags in lexicon_phrases.HASHTAGS]
    assert not hashtags[0] & hashtags[1]
    assert not (hashtags[0] | hashtags[1]) & TOPIC_WORDS
    assert not set(lexicon_phrases.EMOJI[0]) & set(lexicon_phrases.EMOJI[1])


def test_synonyms_and_antonyms_are_pairs_of_groups():
    for negative, positive in lexicon.PAIRS:
        assert (negative.polarity, positive.polarity) == (0, 1)
        assert (negative.kind, negative.topics) == (positive.kind, positive.topics)
        assert set(negative.topics) <= {topic.name for topic in TOPICS}
    assert {("good", "bad"), ("happy", "sad"), ("love", "hate"), ("smart", "stupid")} <= set(lexicon.ANTONYMS)
    assert all(lexicon.POLARITY[a] == 1 and lexicon.POLARITY[b] == 0 for a, b in lexicon.ANTONYMS)
    assert set(lexicon_phrases.FRAMES) == set(lexicon_phrases.NEGATED)


def test_every_negated_frame_negates_and_no_other_frame_does():
    def negators(frame):
        return lexicon_phrases.NEGATORS & set(re.findall(r"[a-z']+", frame))

    for kind, frames in lexicon_phrases.NEGATED.items():
        assert all(len(negators(frame)) == 1 for frame in frames), kind
        for frame in frames:
            assert frame.index(min(negators(frame))) < re.search(r"\{[SA]\}", frame).start()
    plain = [f for frames in lexicon_phrases.FRAMES.values() for f in frames]
    assert not any(negators(f) for f in (*plain, *lexicon_phrases.FILLERS, *lexicon_phrases.EVENT_TAILS))


def test_word_similarity_sets_are_covered():
    known = TOPIC_WORDS | set(lexicon.POLARITY)
    for name, share in (("wordsim353.tsv", 0.5), ("simlex999.txt", 0.5)):
        with open(datapath(name), encoding="utf-8") as lines:
            pairs = [line.lower().split()[:2] for line in lines if not line.startswith("#")]
        assert np.mean([first in known and second in known for first, second in pairs]) > share


def test_sentiment_words_have_a_long_tail(blocks):
    counts = Counter(
        token for block in blocks[:1] for text in block.texts for token in re.findall(r"[a-z0-9]+", text.lower())
    )
    frequent = np.array([counts[word] for word in lexicon.FREQUENT_WORDS if word in CLAUSE_WORDS])
    rare = np.array([counts[word] for word in lexicon.RARE_WORDS if word in CLAUSE_WORDS])
    assert np.median(frequent) > 5 * np.median(rare)
    few = set(re.findall(r"[a-z0-9]+", " ".join(blocks[0].texts[:300]).lower()))
    assert 0.3 < np.mean([word in few for word in CLAUSE_WORDS]) < 0.6


def test_a_bag_of_words_learns_slowly_and_stays_below_the_ideal(blocks):
    texts = [text for block in blocks[:2] for text in block.texts]
    labels = facts(blocks[:2], "labels")
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
    wanted = [p / (p + n) for p, n in zip(positive, negative, strict=True)]
    assert sample.posterior(topics, evidence)[:3] == pytest.approx(wanted)
    assert sample.posterior(topics, evidence)[3] < 0.001


def test_tables_draw_each_entry_as_often_as_it_weighs():
    table = sample_wording.Table([["a", "b"], ["c", "d", "e"]], [[3, 1], [1, 1, 2]])
    grid = (np.arange(8) + 0.5) / 8
    assert Counter(table.pick(grid)) == {"a": 6, "b": 2}
    assert Counter(table.pick(grid, np.ones(8, dtype=np.int64))) == {"c": 2, "d": 2, "e": 4}
    edges = np.array([0.0, 1 - 2.0**-32])
    assert list(table.pick(edges, 0)) == ["a", "b"]
    assert list(table.pick(edges, 1)) == ["c", "e"]
    assert table.shares(1) == pytest.approx([0.25, 0.25, 0.5])


def test_frames_fill_their_slots_and_leave_the_rest_empty():
    frames = sample_wording.Frames(("{A} is {B}", "no {B}!"))
    slots = {"A": np.array(["x", "y", "z"], dtype=object), "B": np.array(["1", "2", "3"], dtype=object)}
    assert frames.fill(np.array([1, -1, 0]), slots).tolist() == ["no 1!", "", "z is 3"]
