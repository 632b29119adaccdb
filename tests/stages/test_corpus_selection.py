"""The part of the corpus that CBOW and PPMI read: exact, nested, by source, and in the keys."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.compose import compose
from pipeline.config.schema import Config
from pipeline.embedding.word_vectors import Vectors
from pipeline.evaluation.probes import transfer_tasks
from pipeline.evaluation.probes.transfer_tasks import LabelledTexts, TaskTexts
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.errors import UserError
from pipeline.stages.corpus_selection import selected_corpus, selection_key
from pipeline.stages.learn import run_inputs
from pipeline.stages.prepare import prepare
from pipeline.stages.train import vector_notes
from pipeline.stages.vectors import vectors
from pipeline.text.corpus import CORPUS

Read = Callable[..., tuple[list[str], dict[str, Any]]]


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Config, Stage]]:
    """A configuration with the overrides, and the encoded tweets, which all share: two files beside the sample."""
    folder = tmp_path_factory.mktemp("selection")
    # A text of blanks and one without a token are in no line of the corpus.
    (folder / "old.txt").write_text("an old tweet\n \nanother old tweet with words\n", "utf-8")
    (folder / "new.2017.txt").write_text("&nbsp;\n" + "".join(f"new tweet {n}\n" for n in range(7)), "utf-8")
    files = f"cbow.extra_text=[{folder}/old.txt,{folder}/new.2017.txt]"

    def make(*overrides: str) -> tuple[Config, Stage]:
        config = compose([
            *("data.sample.labelled=200", "data.sample.unlabelled=100", f"paths.root={folder}/root", "embedding.dim=4"),
            *("cbow.epochs=1", "embedding=cbow_frozen", files, *overrides),
        ])  # fmt: skip
        return config, prepare(config)

    return make


@pytest.fixture(scope="module")
def read(configured: Callable[..., tuple[Config, Stage]], tmp_path_factory: pytest.TempPathFactory) -> Read:
    """The lines that are read with the overrides, and the facts."""

    def lines(*overrides: str) -> tuple[list[str], dict[str, Any]]:
        with selected_corpus(*configured(*overrides), tmp_path_factory.mktemp("part")) as (file, facts):
            return file.read_text("utf-8").splitlines(), facts

    return lines


def test_the_sources_are_the_lines_of_the_corpus_in_its_order(configured, read: Read):
    _, prepared = configured()
    sources, (whole, facts) = prepared.outcome["corpus"]["sources"], read()
    assert facts == {}
    assert [name for name, _, _ in sources] == ["unlabelled", "old", "new", "train"]
    assert sum(lines for _, lines, _ in sources) == len(whole) == prepared.outcome["corpus"]["lines"]
    assert sources[1][1:] == [2, 8]
    assert (sources[2][1], prepared.outcome["corpus"]["texts"]["new"]) == (7, 8)
    assert [tokens for _, _, tokens in sources] == [
        sum(len(line.split()) for line in read(f"cbow.sources={name}")[0]) for name, _, _ in sources
    ]
    start = 0
    for name, lines, _ in sources:
        part, facts = read(f"cbow.sources={name}")
        assert part == whole[start : start + lines]
        assert facts == {"texts": {name: lines}}
        start += lines
    assert read("cbow.sources=[train,old]")[0] == [*whole[100:102], *read("cbow.sources=train")[0]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.tuples(st.integers(0, 109), st.integers(0, 109)).map(sorted))
def test_samples_of_unlabelled_texts_are_exact_and_nested_and_keep_the_training_text(read: Read, sizes: list[int]):
    train = read("cbow.sources=train")[0]
    (smaller, facts), (larger, _) = (read(f"cbow.unlabelled_texts={size}") for size in sizes)
    assert len(smaller) == sizes[0] + len(train)
    assert smaller[-len(train) :] == train
    assert sum(count for name, count in facts["texts"].items() if name != "train") == sizes[0]
    assert Counter(smaller) <= Counter(larger) <= Counter(read()[0])
    assert is_subsequence(smaller, larger)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.tuples(st.integers(1, 900), st.integers(1, 900)).map(sorted))
def test_samples_of_tokens_are_nested_and_one_text_short_of_their_size_at_most(read: Read, sizes: list[int]):
    whole = read("cbow.sources=[unlabelled,train]")[0]
    smaller, larger = (read("cbow.sources=[unlabelled,train]", f"cbow.max_tokens={size}")[0] for size in sizes)
    assert is_subsequence(smaller, larger)
    assert is_subsequence(larger, whole)
    longest = max(len(line.split()) for line in whole)
    for size, part in zip(sizes, (smaller, larger), strict=True):
        assert size - longest < sum(len(line.split()) for line in part) <= size


def is_subsequence(lines: list[str], others: list[str]) -> bool:
    rest = iter(others)
    return all(line in rest for line in lines)


def test_a_sample_is_no_prefix(read: Read):
    whole = read("cbow.sources=unlabelled")[0]
    assert read("cbow.sources=unlabelled", "cbow.unlabelled_texts=50")[0] not in (whole[:50], whole[-50:])


def test_texts_of_the_transfer_tasks_are_left_out_of_every_source(configured, monkeypatch: pytest.MonkeyPatch):
    texts = {"train": ["New TWEET 3", "an old tweet !"], "test": ["new tweet 5", "no such tweet"]}
    labelled = {split: LabelledTexts(rows, np.zeros(2, np.int64)) for split, rows in texts.items()}
    task = TaskTexts(["one"], labelled)
    monkeypatch.setattr(transfer_tasks, "load_task", lambda *arguments: task)
    config, prepared = configured(
        "cbow.without_transfer=true", "probe.transfer=[sample_topic]", "cbow.sources=[old,new]"
    )
    with selected_corpus(config, prepared, prepared.folder.parent) as (file, facts):
        lines = file.read_text("utf-8").splitlines()
    assert lines == ["an old tweet", "another old tweet with words", *(f"new tweet {n}" for n in (0, 1, 2, 4, 6))]
    assert facts == {"texts": {"old": 2, "new": 5}, "left_out": 2}
    assert not file.exists()
    assert (prepared.folder / CORPUS).exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["cbow.sources=trian"],
            "'trian' is no source of the corpus (unlabelled, old, new, train); did you mean 'train'?",
        ),
        (
            ["cbow.sources=[train,extra_text]"],
            "cbow.sources=[train,extra_text]: 'extra_text' is no source of the corpus",
        ),
        (["cbow.unlabelled_texts=110"], "cbow.unlabelled_texts=110: there are 109 unlabelled texts to read"),
        (
            ["cbow.unlabelled_texts=3", "cbow.sources=old"],
            "there are 2 unlabelled texts to read; expected at most that",
        ),
        (["cbow.max_tokens=9", "cbow.sources=old"], "cbow.max_tokens=9: there are 8 tokens to read"),
    ],
)
def test_what_the_corpus_lacks_is_one_line_before_any_training(configured, overrides: list[str], message: str):
    with pytest.raises(UserError) as error:
        selection_key(*configured(*overrides))
    assert message in str(error.value)


def test_tokens_that_a_sample_lacks_are_one_line(configured, tmp_path: Path):
    overrides = ("cbow.sources=[old,new]", "cbow.unlabelled_texts=0", "cbow.max_tokens=1")
    with (
        pytest.raises(UserError, match=r"max_tokens=1: there are 0 tokens"),
        selected_corpus(*configured(*overrides), tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cbow.extra_text=[a/x.txt,b/x.txt.gz]", "names before the first dot that differ"),
        ("cbow.extra_text=[train.txt]", "names before the first dot that differ from each other, train and unlabelled"),
        ("cbow.extra_text=[1,2]", "cbow.extra_text"),
        ("cbow.without_transfer=true", "cbow.without_transfer=true with probe.transfer=[]"),
        ("cbow.unlabelled_texts=-1", "expected a whole number from 0"),
        ("cbow.sources=[]", "cbow.sources=[]: expected text, or a list or null"),
    ],
)
def test_wrong_keys_are_one_line(override: str, message: str):
    with pytest.raises(UserError) as error:
        compose([override])
    assert message in str(error.value)


def test_the_key_holds_the_selection_alone_and_nothing_without_one(configured):
    config, prepared = configured()
    assert selection_key(config, prepared) == {}
    keys = {}
    for embedding in ("cbow_frozen", "ppmi_frozen"):
        for overrides in ((), ("cbow.unlabelled_texts=0",), ("cbow.unlabelled_texts=5",), ("cbow.sources=train",)):
            config, prepared = configured(f"embedding={embedding}", "ppmi.min_count=1", *overrides)
            keys[embedding, overrides] = next(iter(vectors(config, prepared).values()))
    assert len({stage.key for stage in keys.values()}) == len(keys)
    assert len({prepared.key for _, prepared in (configured(), configured("cbow.sources=train"))}) == 1
    assert "selection" not in keys["cbow_frozen", ()].manifest["identity"]
    # All training text, by either key: the same lines and so the same vectors.
    first, second = (
        Vectors.load(keys["cbow_frozen", (name,)].folder) for name in ("cbow.unlabelled_texts=0", "cbow.sources=train")
    )
    assert first.vectors.tobytes() == second.vectors.tobytes()
    assert first.info["corpus"]["fingerprint"] != second.info["corpus"]["fingerprint"]
    assert first.info["corpus"]["texts"] == {"train": 160}


def test_the_note_says_what_was_read(configured):
    notes = []
    for override in ("seed=0", "cbow.unlabelled_texts=0"):
        config, prepared = configured(override)
        stages = vectors(config, prepared)
        notes += vector_notes(prepared, stages, run_inputs(config, prepared, stages))
    tokens = {name: tokens for name, _, tokens in prepared.outcome["corpus"]["sources"]}
    assert f"on {sum(tokens.values()):,} tokens (" in notes[0]
    assert f"on {tokens['train']:,} tokens (160 train texts);" in notes[1]


def test_a_task_in_a_folder_of_its_own_is_read_from_there(configured, tmp_path: Path, shared: Callable[..., Path]):
    config, prepared = configured(
        "cbow.without_transfer=true", f"probe.transfer=[irony@{shared('hub/cardiffnlp/tweet_eval')}]"
    )
    assert list(selection_key(config, prepared)["selection"]["tasks"]) == ["irony"]
    with selected_corpus(config, prepared, tmp_path) as (_, facts):
        assert facts["left_out"] == 0
    config.probe.transfer = [f"irony@{tmp_path}"]
    with pytest.raises(UserError, match=r"probe\.transfer=irony"):
        selection_key(config, prepared)
