"""Stage folders are whole or absent, reused when their identity is the same, and made once when two want them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.cached_folder import ensure_folder, read_manifest
from pipeline.runtime.files import file_fingerprint, fingerprint, read_json, write_json
from pipeline.runtime.paths import project_root

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_fingerprint_ignores_key_order_and_nothing_else(value):
    backwards = dict(reversed(value.items()))
    assert fingerprint(value) == fingerprint(backwards)
    assert fingerprint(value) != fingerprint(value | {"one more": 1, "and": [value]})


def test_file_fingerprint_sees_names_and_contents_but_not_places(tmp_path: Path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.txt").write_text("same")
    one, two = tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt"
    assert file_fingerprint([one]) == file_fingerprint([two])
    two.write_text("Same")
    assert file_fingerprint([one]) != file_fingerprint([two])
    assert file_fingerprint([one]) != file_fingerprint([one.rename(tmp_path / "a" / "y.txt")])


def test_reuse_by_identity(tmp_path: Path):
    calls = []

    def work(folder: Path) -> dict[str, int]:
        calls.append(folder)
        (folder / "out.txt").write_text(str(len(calls)))
        return {"n": len(calls)}

    place = tmp_path / "stage" / "key"
    first, reused = ensure_folder(place, {"a": 1}, work)
    assert (first["outcome"], reused, first == read_manifest(place)) == ({"n": 1}, False, True)
    assert ensure_folder(place, {"a": 1}, work) == (first, True)
    assert ensure_folder(place, {"a": 2}, work)[0]["outcome"] == {"n": 2}
    assert ensure_folder(place, {"a": 2}, work, force=True)[0]["outcome"] == {"n": 3}
    assert (place / "out.txt").read_text() == "3"
    assert sorted(path.name for path in place.parent.iterdir()) == [".key.lock", "key"]


def test_a_failed_stage_leaves_the_old_outcome_and_no_trace(tmp_path: Path):
    place = tmp_path / "key"
    ensure_folder(place, {"a": 1}, lambda folder: (folder / "out.txt").write_text("old") and None)

    def fail(folder: Path) -> None:
        (folder / "out.txt").write_text("half")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        ensure_folder(place, {"a": 2}, fail)
    assert (place / "out.txt").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".key.lock", "key"]


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}"])
def test_a_folder_without_a_whole_manifest_never_counts(tmp_path: Path, damage: str):
    place = tmp_path / "key"
    ensure_folder(place, {"a": 1}, lambda folder: None)
    (place / "manifest.json").write_text(damage)
    assert ensure_folder(place, {"a": 1}, lambda folder: {"again": True})[0]["outcome"] == {"again": True}


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("ou")])
def test_files_that_are_missing_or_cut_short_are_made_again(tmp_path: Path, damage: Callable[[Path], object]):
    place = tmp_path / "key"

    def work(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "out.txt").write_text("out")

    ensure_folder(place, {"a": 1}, work)
    damage(place / "sub" / "out.txt")
    assert ensure_folder(place, {"a": 1}, work)[1] is False
    assert (place / "sub" / "out.txt").read_text() == "out"
    assert ensure_folder(place, {"a": 1}, work)[1] is True


SLOW = """
import sys, time
from pathlib import Path
from pipeline.runtime.cached_folder import ensure_folder

def work(folder):
    (folder / "half").write_text("half")
    print("working", flush=True)
    time.sleep(float(sys.argv[2]))
    return {"pid": 1}

print("reused" if ensure_folder(Path(sys.argv[1]), {"a": 1}, work)[1] else "made", flush=True)
"""


def start(place: Path, seconds: float) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(project_root())}
    command = [sys.executable, "-c", SLOW, str(place), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_kill_in_the_middle_leaves_nothing_that_counts(tmp_path: Path):
    place = tmp_path / "key"
    with start(place, 60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGKILL)
    assert not place.exists()
    manifest, reused = ensure_folder(place, {"a": 1}, lambda folder: {"second": True})
    assert (manifest["outcome"], reused) == ({"second": True}, False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".key.lock", "key"]


def test_two_at_once_work_once(tmp_path: Path):
    place = tmp_path / "key"
    processes = [start(place, 1), start(place, 1)]
    outputs = sorted(process.communicate(timeout=60)[0] for process in processes)
    assert outputs == ["reused\n", "working\nmade\n"]


def test_json_is_canonical(tmp_path: Path):
    path = tmp_path / "x.json"
    write_json(path, {"b": 1, "a": "ü"})
    assert path.read_text("utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'
    assert read_json(path) == {"a": "ü", "b": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text("utf-8")) == {"a": "ü", "b": 1}
