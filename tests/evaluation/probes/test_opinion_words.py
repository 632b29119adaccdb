import shutil

import nltk
import pytest
from nltk.corpus.reader import OpinionLexiconCorpusReader

from pipeline.data.sample.words import SYNONYM_GROUPS
from pipeline.evaluation.probes.opinion_words import opinion_words, resolve_opinion_words
from pipeline.runtime.errors import UserError


@pytest.fixture
def nltk_folder(tmp_path, monkeypatch):
    """NLTK's only folder, with a small opinion_lexicon; returns the corpus's folder."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    folder = tmp_path / "corpora" / "opinion_lexicon"
    folder.mkdir(parents=True)
    (folder / "positive-words.txt").write_text("; a remark\n;\n\ngood\nenvious\r\n2-star+\n")
    (folder / "negative-words.txt").write_text("; good\n\nbad\nenvious\nna\u00efve\n", "utf-8")
    return folder


def test_words_of_the_generated_tweets():
    words = opinion_words("sample")
    assert words["great"] == words["woohoo"] == 1
    assert words["terrible"] == words["meh"] == 0
    assert len(words) == sum(len(group.words) for group in SYNONYM_GROUPS)


def test_a_word_on_both_lists_is_on_neither(nltk_folder):
    assert opinion_words("nltk") == {"bad": 0, "naïve": 0, "good": 1, "2-star+": 1}


def test_an_archive_and_the_authors_encoding(nltk_folder):
    expected = opinion_words("nltk")
    negative = nltk_folder / "negative-words.txt"
    negative.write_text(negative.read_text("utf-8"), "latin-1")
    assert opinion_words("nltk") == expected
    shutil.make_archive(str(nltk_folder), "zip", nltk_folder.parent, "opinion_lexicon")
    shutil.rmtree(nltk_folder)
    assert opinion_words("nltk") == expected
    assert resolve_opinion_words("auto", "tweet_eval") == "nltk"


def test_the_published_lexicon(shared, monkeypatch):
    folder = shared("nltk_data")
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    words = opinion_words("nltk")
    assert (len(words), sum(words.values())) == (6783, 2003)
    reader = OpinionLexiconCorpusReader(str(folder / "corpora" / "opinion_lexicon"), r".*-words\.txt", encoding="utf-8")
    assert set(words) == set(reader.positive()) ^ set(reader.negative())
    assert {word for word, positive in words.items() if positive} < set(reader.positive())


def test_a_missing_or_damaged_lexicon_is_an_error(nltk_folder):
    (nltk_folder / "positive-words.txt").write_text("; nothing\n")
    with pytest.raises(UserError, match=r"positive-words\.txt holds no words"):
        opinion_words("nltk")
    (nltk_folder / "positive-words.txt").unlink()
    with pytest.raises(UserError, match=r"positive-words\.txt cannot be read"):
        opinion_words("nltk")
    shutil.rmtree(nltk_folder)
    with pytest.raises(UserError, match=r"python -m nltk\.downloader opinion_lexicon"):
        opinion_words("nltk")
    with pytest.raises(UserError, match="did you mean 'nltk'"):
        opinion_words("nltkk")


def test_selected_lexicon(nltk_folder):
    def selected(source):
        return [resolve_opinion_words(polarity, source) for polarity in ("auto", "sample", "nltk", "none")]

    assert selected("sample") == ["sample", "sample", "nltk", None]
    assert selected("tweet_eval") == ["nltk", "sample", "nltk", None]
    shutil.rmtree(nltk_folder)
    assert selected("sample") == ["sample", "sample", "nltk", None]
    assert selected("tweet_eval") == [None, "sample", "nltk", None]
