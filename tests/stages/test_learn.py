"""The initial matrix of a run: tables side by side, each with its own draw, and all with one spread."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.compose import compose
from pipeline.config.schema import SPECIALS, UNK
from pipeline.embedding.initial_matrix import initial_matrix
from pipeline.stages.learn import RunInputs, open_vectors, run_inputs
from pipeline.stages.prepare import prepare
from pipeline.stages.vectors import vectors

D = 12


@pytest.fixture(scope="module")
def inputs_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunInputs]:
    """The inputs of a run with the given overrides; all runs share a root."""
    root = tmp_path_factory.mktemp("tables")

    def make(*overrides: str) -> RunInputs:
        config = compose([
            *("data.sample.labelled=200", "data.sample.unlabelled=0", f"embedding.dim={D}", "text.min_count=1"),
            *(f"paths.root={root}", "ppmi.min_count=3", "cbow.epochs=2", "seed=3", *overrides),
        ])  # fmt: skip
        prepared = prepare(config)
        return run_inputs(config, prepared, vectors(config, prepared))

    return make


def spread(table: np.ndarray) -> float:
    return float(table[UNK:].std(dtype=np.float64))


@pytest.mark.parametrize("init", ["random", "cbow", "ppmi"])
def test_a_single_table_is_the_initial_matrix_bit_for_bit(inputs_of, init):
    inputs = inputs_of(f"embedding.init={init}")
    words, rng = inputs.vocabulary.words, np.random.default_rng([3, 0])
    expected, known_V = initial_matrix(words, inputs.vectors.get(init), D, rng)
    assert inputs.initial_VE.tobytes() == expected.tobytes()
    assert np.array_equal(inputs.from_vectors_V, known_V)
    assert list(inputs.vectors) == ([] if init == "random" else [init])


def test_the_others_have_the_spread_of_the_first_table_whose_numbers_stay(inputs_of):
    single = {init: inputs_of(f"embedding.init={init}").initial_VE for init in ("random", "ppmi", "cbow")}
    inputs = inputs_of("embedding.init=[ppmi,random,cbow]", "embedding.trainable=false")
    assert inputs.initial_VE.shape == (len(single["ppmi"]), 3 * D)
    assert inputs.initial_VE.flags.c_contiguous
    ppmi, random, cbow = np.split(inputs.initial_VE, 3, axis=1)
    assert ppmi.tobytes() == single["ppmi"].tobytes()
    assert spread(single["cbow"]) != pytest.approx(spread(ppmi), rel=0.05)
    assert [spread(table) for table in (random, cbow)] == pytest.approx([spread(ppmi)] * 2, rel=1e-5)
    assert not inputs.initial_VE[0].any()
    known = inputs.vectors["cbow"].index.keys() & inputs.vectors["ppmi"].index.keys()
    rows = [row for row, word in enumerate(inputs.vocabulary.words) if word in known]
    ratio = cbow[rows] / single["cbow"][rows]
    assert ratio == pytest.approx(np.full_like(ratio, ratio[0, 0]), rel=1e-5)  # one factor: cosines stay
    correlation = np.corrcoef(random[UNK:].ravel(), single["random"][UNK:].ravel())[0, 1]
    assert abs(correlation) < 0.1  # a draw of its own: not that of the first table
    either = [word in inputs.vectors["cbow"].index or word in inputs.vectors["ppmi"].index
              for word in inputs.vocabulary.words[SPECIALS:]]  # fmt: skip
    assert inputs.from_vectors_V[SPECIALS:].tolist() == either


def test_with_a_scale_every_table_has_it(inputs_of):
    inputs = inputs_of("embedding.init=[random,ppmi]", "embedding.scale=0.3")
    assert [spread(table) for table in np.split(inputs.initial_VE, 2, axis=1)] == pytest.approx([0.3, 0.3], rel=1e-5)


def test_frozen_tables_stand_first_and_a_table_is_drawn_by_its_place_in_the_list(inputs_of):
    alike = inputs_of("embedding.init=[random,ppmi]")
    mixed = inputs_of("embedding.init=[random,ppmi]", "embedding.trainable=[true,false]")
    random, ppmi = np.split(alike.initial_VE, 2, axis=1)
    assert mixed.initial_VE.tobytes() == np.concatenate([ppmi, random], axis=1).tobytes()


def test_a_table_that_is_there_twice_has_the_same_rows(inputs_of):
    channels = np.split(inputs_of("embedding=cbow_multichannel").initial_VE, 2, axis=1)
    assert [channel.tobytes() for channel in channels] == [inputs_of("embedding=cbow_frozen").initial_VE.tobytes()] * 2


def test_shuffled_tables_have_the_same_rows_at_other_words(inputs_of):
    plain = inputs_of("embedding.init=[ppmi,random]").initial_VE
    inputs = inputs_of("embedding.init=[ppmi,random]", "embedding.shuffled=true")
    ppmi, random = np.split(inputs.initial_VE, 2, axis=1)
    np.testing.assert_allclose(random, plain[:, D:], rtol=1e-6)
    known = [row for row, word in enumerate(inputs.vocabulary.words) if word in inputs.vectors["ppmi"].index]
    assert sorted(ppmi[known].tolist()) == sorted(plain[known, :D].tolist())
    assert not np.array_equal(ppmi[known], plain[known, :D])


def test_each_init_has_a_stage_or_none(tmp_path: Path):
    config = compose(["data.sample.labelled=200", f"paths.root={tmp_path}"])
    assert open_vectors(config, "random", None, []) is None
    with pytest.raises(ValueError, match="no stage"):
        open_vectors(config, "cbow", None, [])
