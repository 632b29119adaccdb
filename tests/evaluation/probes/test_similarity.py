import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pipeline.evaluation.probes.similarity import load_pairs, similarity, spearman_interval
from pipeline.runtime.errors import UserError


def random_matrix(pairs, dim=7, seed=0):
    words = sorted({word for a, b, _ in pairs for word in (a, b)})
    matrix = np.random.default_rng(seed).standard_normal((len(words) + 2, dim)).astype(np.float32)
    return matrix, {word: row for row, word in enumerate(words, start=2)}


def test_included_sets():
    wordsim, simlex = load_pairs("wordsim353"), load_pairs("simlex999")
    assert (len(wordsim), len(simlex)) == (353, 999)
    assert wordsim[:2] == [("love", "sex", 6.77), ("tiger", "cat", 7.35)]
    assert simlex[0] == ("old", "new", 1.58)
    assert simlex == load_pairs(datapath("simlex999.txt"))


@pytest.mark.parametrize(
    ("file", "n", "first"),
    [
        ("EN-MEN-TR-3k.txt", 3000, ("sun", "sunlight", 50.0)),
        ("EN-SimVerb-3500.txt", 3500, ("take", "remove", 6.81)),
        ("EN-WS-353-SIM.txt", 203, ("tiger", "cat", 7.35)),
        ("EN-WS-353-REL.txt", 252, ("computer", "keyboard", 7.62)),
    ],
)
def test_published_files(file, n, first, shared):
    pairs = load_pairs(shared(f"wordsim/{file}"))
    assert (len(pairs), pairs[0]) == (n, first)


@pytest.mark.parametrize("separator", ["\t", ",", " ", ", ", "  "])
@pytest.mark.parametrize(
    "before", ["", "# made by hand\n\n", "\ufeffword1{0}word2{0}score\n", "#x\nfirst{0}second{0}human\n"]
)
def test_layouts_of_a_file(tmp_path, separator, before):
    path = tmp_path / "pairs.txt"
    rows = f"good{separator}great{separator}9\n# note\nbad{separator}good{separator}-0.5"
    path.write_text(before.format(separator) + rows, "utf-8")
    assert load_pairs(str(path)) == [("good", "great", 9.0), ("bad", "good", -0.5)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a b 1\nc d\n", "line 2: expected 'word1 word2 score', found 'c d'"),
        ("# x\na b 1\n\nc d high\n", "line 4"),
        ("a b nan\nc d inf\n", "line 2"),
        ("a b 1 2\nc d 1 2\n", "line 2"),
        ("a b\n", "line 1"),
        ("a\tb\t1\n\tb\t1\n", "line 2"),
        ("word1 word2 score\n", "no word pairs"),
        ("", "no word pairs"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, content, says):
    path = tmp_path / "pairs.txt"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        load_pairs(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UserError, match="did you mean 'simlex999'"):
        load_pairs("simlex99")
    (tmp_path / "pairs.txt").write_bytes(b"caf\xe9 bar 1\n")
    with pytest.raises(UserError, match=r"pairs\.txt: not a UTF-8 text file"):
        load_pairs(tmp_path / "pairs.txt")


def test_equals_gensim_where_all_words_are_known():
    pairs = load_pairs("simlex999")
    matrix, id_of = random_matrix(pairs)
    keyed = KeyedVectors(7)
    keyed.add_vectors(list(id_of), matrix[2:])
    _, theirs, unknown = keyed.evaluate_word_pairs(datapath("simlex999.txt"))
    ours = similarity(matrix, pairs, id_of.get)
    assert unknown == 0
    assert (ours["n"], ours["coverage"]) == (999, 1.0)
    assert ours["spearman"] == pytest.approx(theirs.statistic, abs=1e-9)


def test_pairs_that_cannot_be_judged_do_not_count():
    pairs = [(f"a{i}", f"b{i}", float(i % 4)) for i in range(8)]
    matrix, id_of = random_matrix(pairs)
    judged = similarity(matrix, pairs, id_of.get)
    rows = [(matrix[id_of[a]].astype(float), matrix[id_of[b]].astype(float)) for a, b, _ in pairs]
    cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in rows]
    assert judged["spearman"] == pytest.approx(spearmanr(cosines, [score for *_, score in pairs]).statistic)

    more = [*pairs, ("a0", "A0", 10.0), ("a1", "a1", 10.0), ("a0", "absent", 0.0), ("two words", "a1", 3.0)]
    more.append(("zero", "a2", 5.0))
    id_of["zero"] = 0
    matrix[0] = 0
    again = similarity(matrix, more, lambda word: id_of.get(word.lower()))
    assert again == judged | {"coverage": 8 / 13}


def test_words_are_looked_up_by_their_token():
    pairs = [(f"Runs{i}", f"Jumps{i}", float(i)) for i in range(6)]
    stems = [(f"run{i}", f"jump{i}", float(i)) for i in range(6)]
    matrix, id_of = random_matrix(stems)
    through = similarity(matrix, pairs, lambda word: id_of.get(word.lower().replace("s", "")))
    assert through == similarity(matrix, stems, id_of.get)
    assert through["n"] == 6


@pytest.mark.parametrize("known", [0, 4])
def test_too_few_pairs_give_no_correlation(known):
    pairs = [(f"a{i}", f"b{i}", float(i)) for i in range(9)]
    matrix, id_of = random_matrix(pairs[:known])
    result = similarity(matrix, pairs, id_of.get)
    assert result == {
        "n": known, "coverage": known / 9, "spearman": None, "spearman_low": None, "spearman_high": None
    }  # fmt: skip
    assert similarity(matrix, [], id_of.get)["coverage"] == 0


def test_equal_ratings_or_equal_cosines_give_no_correlation():
    pairs = [(f"a{i}", f"b{i}", 1.0) for i in range(9)]
    matrix, id_of = random_matrix(pairs)
    assert similarity(matrix, pairs, id_of.get)["spearman"] is None
    rated = [(a, b, float(i)) for i, (a, b, _) in enumerate(pairs)]
    assert similarity(np.ones_like(matrix), rated, id_of.get)["spearman"] is None


def test_interval_of_a_published_example():
    """The example of `ci.spear` in the R package statpsych, by Bonett himself."""
    y = [21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19]
    x = [67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51]
    rho = spearmanr(y, x).statistic
    assert rho == pytest.approx(0.8699639, abs=1e-6)
    assert spearman_interval(rho, 15) == pytest.approx((0.5840951, 0.9638297), abs=1e-6)


@given(rho=st.floats(-1, 1), n=st.integers(5, 5000))
def test_interval_holds_rho_within_bounds_and_narrows(rho, n):
    low, high = spearman_interval(rho, n)
    assert -1 <= low <= rho + 1e-12
    assert rho - 1e-12 <= high <= 1
    narrow_low, narrow_high = spearman_interval(rho, 4 * n)
    assert low - 1e-12 <= narrow_low
    assert narrow_high <= high + 1e-12
    assert spearman_interval(-rho, n) == pytest.approx((-high, -low))
