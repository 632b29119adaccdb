import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import TWEET_EVAL
from pipeline.data.source import source_fingerprint
from pipeline.data.splits import load
from pipeline.data.tweet_eval import TASKS, text_rows
from pipeline.evaluation.probes.transfer_tasks import load_task, task_fingerprint
from pipeline.runtime.errors import UserError

TEXTS = {"train": "good \nbad\u0085 day\u2028!\r\n\nfine\n", "val": "so so\nwell", "test": "oh\nno\n"}
LABELS = {"train": "1\n0\r\n1\n1\n", "val": "0\n1", "test": "1\n0\n"}
STANCE = LABELS | {"train": "1\n0\n2\n2\n"}


def write_task(folder, mapping="0\tnot-hate\n1\thate", texts=TEXTS, labels=LABELS):
    folder.mkdir(parents=True)
    for split in texts:
        (folder / f"{split}_text.txt").write_bytes(texts[split].encode())
        (folder / f"{split}_labels.txt").write_bytes(labels[split].encode())
    if mapping:
        (folder / "mapping.txt").write_text(mapping, "utf-8")
    return folder


@pytest.fixture
def read(data_config, tmp_path):
    def read_task(path, name, **settings):
        return load(data_config("tweet_eval", path=str(path), name=name, **settings), tmp_path / "cache")

    return read_task


def test_the_tasks_of_the_configuration_have_class_names():
    assert tuple(TASKS) == TWEET_EVAL
    assert {name: len(names) for name, names in TASKS.items() if len(names) > 4} == {"emoji": 20}
    assert all(len(set(names)) == len(names) for names in TASKS.values())


def test_lines_keep_their_labels(read, tmp_path):
    splits = read(write_task(tmp_path / "hate"), "hate")
    assert splits.label_names == ["not-hate", "hate"]
    assert splits.train.to_pydict() == {"text": ["good ", "bad\u0085 day\u2028!", "fine"], "label": [1, 0, 1]}
    assert splits.validation.to_pydict() == {"text": ["so so", "well"], "label": [0, 1]}
    assert splits.test.to_pydict() == {"text": ["oh", "no"], "label": [1, 0]}
    assert splits.notes == [
        "train_text.txt: 1 of 4 rows left out",
        "train_text.txt, row 3: no text (column 'text' is empty); expected a text and a label",
    ]


@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), st.integers())))
def test_any_text_comes_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("task")
    (folder / "texts").write_bytes("".join(f"{text}\n" for text, _ in rows).encode())
    (folder / "labels").write_bytes("".join(f"{label}\n" for _, label in rows).encode())
    read = [(row.number, row.text, row.label) for row in text_rows(folder / "texts", folder / "labels", "utf-8")]
    texts = [(number, text, str(label)) for number, (text, label) in enumerate(rows, 1)]
    if texts and texts[0][1].startswith("\ufeff"):
        texts[0] = (1, texts[0][1][1:], texts[0][2])  # a byte order mark
    assert read == texts


@pytest.mark.parametrize(
    ("below", "path", "name"),
    [
        ("hate", "", "hate"),
        ("hate", "hate", "hate"),
        ("datasets/hate", "", "hate"),
        ("datasets/stance/climate", "", "stance_climate"),
        ("stance/climate", "", "stance_climate"),
        ("stance/climate", "stance", "stance_climate"),
        ("stance/climate", "stance/climate", "stance_climate"),
        ("stance_climate", "", "stance_climate"),
        ("mine", "mine", "irony"),
    ],
)
def test_every_folder_of_a_copy(below, path, name, read, tmp_path, data_config):
    write_task(tmp_path / "copy" / below, None, labels=STANCE if name.startswith("stance") else LABELS)
    splits = read(tmp_path / "copy" / path, name, validation_size=0)
    assert splits.label_names == list(TASKS[name])
    assert len(splits.train) == 3
    config = data_config("tweet_eval", path=str(tmp_path / "copy" / path), name=name)
    assert source_fingerprint(config) == source_fingerprint(
        data_config("tweet_eval", path=str(tmp_path / "copy" / below), name=name)
    )
    config = (name, str(tmp_path / "copy" / path), None)
    assert load_task(*config, tmp_path).label_names == splits.label_names
    assert task_fingerprint(*config) == task_fingerprint(name, str(tmp_path / "copy" / below), None)


def test_the_mapping_of_all_stance_tasks(read, tmp_path):
    write_task(tmp_path / "stance" / "climate", None, labels=STANCE)
    (tmp_path / "stance" / "mapping.txt").write_bytes("\ufeff2\tpro\tx\r\n\r\n0\tno\r\n1\tcontra\r\n".encode())
    assert read(tmp_path, "stance_climate").label_names == ["no", "contra", "pro"]


def test_labels_of_the_configuration_name_the_codes(read, tmp_path):
    folder = write_task(tmp_path / "hate")
    assert read(folder, "hate", labels=["calm", "angry"]).label_names == ["calm", "angry"]
    splits = read(folder, "hate", labels={"1": "angry", "0": "calm"})
    assert splits.label_names == ["angry", "calm"]
    assert splits.test["label"].to_pylist() == [0, 1]
    assert read(folder, "hate", labels=["hate", "not-hate"]).test["label"].to_pylist() == [0, 1]


def test_the_swapped_names_of_the_first_version_are_noted(read, tmp_path):
    splits = read(write_task(tmp_path / "offensive", mapping="0\toffensive\n1\tnot-offensive"), "offensive")
    assert splits.label_names == ["offensive", "not-offensive"]
    (note,) = [note for note in splits.notes if "mapping.txt" in note]
    assert note.endswith("but offensive is published as non-offensive, offensive: is the file wrong?")


def test_a_split_without_labels_counts_as_absent(read, tmp_path):
    folder = write_task(tmp_path / "hate")
    (folder / "test_labels.txt").unlink()
    splits = read(folder, "hate", test_size=1)
    assert "test_text.txt: there is no test_labels.txt, so the split is not used" in splits.notes
    assert len(splits.test) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_labels.txt": "1\n0\n1\n"}, "train_text.txt: 4 lines, but train_labels.txt has 3; expected one label"),
        ({"val_labels.txt": "1\n0\n1\n"}, "val_text.txt: 2 lines, but val_labels.txt has 3; expected one label"),
        ({"train_labels.txt": None}, "train_labels.txt: no such file; expected the labels of train_text.txt"),
        ({"mapping.txt": "0 calm\n"}, "mapping.txt, line 1: found '0 calm', expected a new id, a tab, a name"),
        ({"mapping.txt": "0\ta\n0\tb\n"}, r"mapping.txt, line 2: found '0\tb', expected a new id"),
    ],
)
def test_files_that_do_not_fit_together(change, message, read, tmp_path):
    folder = write_task(tmp_path / "hate")
    for name, content in change.items():
        (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        read(folder, "hate")
    assert "\n" not in str(error.value)


def test_a_label_without_a_name_is_a_bad_row(read, tmp_path):
    folder = write_task(tmp_path / "hate", labels=LABELS | {"test": "1\n7\n"})
    splits = read(folder, "hate")
    assert "test_text.txt, row 2: label '7', expected one of not-hate, hate" in splits.notes
    assert splits.test["label"].to_pylist() == [1]


def test_wrong_names_get_the_nearest_and_the_list(read, tmp_path, data_config):
    write_task(tmp_path / "copy" / "hate")
    write_task(tmp_path / "copy" / "stance" / "climate")
    everything = ", ".join(TWEET_EVAL)
    for path, name, message in [
        (
            "copy",
            "stance_climat",
            "data.name=stance_climat; did you mean 'stance_climate'?; valid: hate, ",
        ),
        ("copy", "emoji", "copy: no task data.name=emoji; valid: hate, stance_climate"),
        ("copy/hate", "sentiment", "hate: no task data.name=sentiment; valid: hate"),
        ("copy/stance/climate", "hate", "climate: no task data.name=hate; valid: stance_climate"),
        (".", "hat", f"data.name=hat: no task of TweetEval; did you mean 'hate'?; valid: {everything}"),
        (".", "hate", "no files of TweetEval, such as hate/train_text.txt or hate/train.parquet"),
        ("copy/hate/mapping.txt", "hate", "is a file, data=tweet_eval expects a folder"),
    ]:
        with pytest.raises(UserError, match=re.escape(message)):
            read(tmp_path / path, name)
    with pytest.raises(UserError, match=re.escape(f"did you mean 'emotion'?; valid: {everything}")):
        source_fingerprint(data_config("tweet_eval", name="emotions"))


@pytest.mark.parametrize("file", ["train-00000-of-00001.parquet", "train.parquet", "train/0000.parquet"])
@pytest.mark.parametrize("direct", [True, False])
def test_the_hubs_parquet_without_its_card(file, direct, read, tmp_path):
    folder = tmp_path / "copy" / "stance_climate"
    for split in ("train", "validation", "test"):
        path = folder / file.replace("train", split)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"text": [f"{split} a", "b", "c"], "label": [2, 0, 1]}), path)
    splits = read(folder if direct else folder.parent, "stance_climate")
    assert splits.label_names == ["none", "against", "favor"]
    for name, table in splits.tables():
        assert table.to_pydict() == {"text": [f"{name} a", "b", "c"], "label": [2, 0, 1]}


def test_published_text_files(shared, read):
    hate = read(shared("tweeteval_files"), "hate")
    assert [(name, len(table)) for name, table in hate.tables()] == [
        ("train", 8_993),
        ("validation", 999),
        ("test", 2_970),
    ]
    assert hate.label_names == ["not-hate", "hate"]
    assert sum("no text" in note for note in hate.notes) == 8
    lines = (shared("tweeteval_files") / "hate" / "test_text.txt").read_bytes().decode().split("\n")
    assert hate.test["text"].to_pylist() == lines[:-1]
    climate = read(shared("tweeteval_files") / "stance", "stance_climate")
    assert [len(table) for _, table in climate.tables()] == [355, 40, 169]
    assert climate.label_names == ["none", "against", "favor"]
