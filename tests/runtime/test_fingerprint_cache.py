"""Fingerprints of large inputs are remembered, and never for a file that is not the one that was read."""

import os
import time
from pathlib import Path

import pytest

from pipeline.runtime import fingerprint_cache as inputs
from pipeline.runtime.files import file_fingerprint, read_json
from pipeline.runtime.fingerprint_cache import known_fingerprint

OLD = time.time_ns() - 3_600_000_000_000


class Inputs:
    """A file of two lines and a memory; `reads` counts how often inputs were read, each time `pause` seconds later."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, pause: float = 0.0) -> None:
        self.pause = pause
        self.path, self.memory, self.reads = folder / "tweets.txt", folder / "memory", 0
        self.path.write_text("one\ntwo\n")

        def read(paths: list[Path]) -> str:
            self.reads += 1
            return file_fingerprint(paths)

        monkeypatch.setattr(inputs, "file_fingerprint", read)
        monkeypatch.setattr(inputs, "WORTH", 1)

    def known(self, *, afresh: bool = False) -> str:
        time.sleep(self.pause)
        found = known_fingerprint([self.path], self.memory, afresh=afresh)
        assert found == file_fingerprint([self.path])
        return found


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """With a margin of 20 ms instead of two seconds: more than a tick of the clock, and less than is waited."""
    monkeypatch.setattr(inputs, "SETTLED", 20_000_000)
    return Inputs(tmp_path, monkeypatch, pause=0.05)


def test_what_is_as_it_was_is_not_read_again(settled: Inputs):
    assert settled.known() == settled.known() == settled.known()
    assert settled.reads == 1
    settled.known(afresh=True)
    assert settled.reads == 2
    (note,) = settled.memory.glob("*.json")
    assert read_json(note)["paths"] == [str(settled.path)]
    assert not list(settled.memory.glob("*.tmp-*"))


def test_a_change_that_keeps_size_and_mtime_is_seen(settled: Inputs):
    os.utime(settled.path, ns=(OLD, OLD))
    settled.known()
    settled.path.write_text("one\nTWO\n")
    os.utime(settled.path, ns=(OLD, OLD))
    settled.known()
    assert settled.reads == 2


def test_another_file_in_its_place_is_seen(settled: Inputs, tmp_path: Path):
    settled.known()
    (tmp_path / "other.txt").write_text("six\nten\n")
    (tmp_path / "other.txt").replace(settled.path)
    settled.known()
    settled.path.rename(tmp_path / "elsewhere.txt")
    settled.path.symlink_to(tmp_path / "third.txt")
    (tmp_path / "third.txt").write_text("ten\nsix\n")
    settled.known()
    assert settled.reads == 3


def test_a_folder_counts_with_all_below_it(settled: Inputs, tmp_path: Path):
    settled.path = tmp_path / "tweets"
    (settled.path / "sub").mkdir(parents=True)
    for name in ("a.csv", "sub/b.csv"):
        (settled.path / name).write_text(name)
    first = settled.known()
    assert settled.known() == first
    (settled.path / "sub" / "b.csv").rename(settled.path / "sub" / "c.csv")
    assert settled.known() != first
    (settled.path / "sub" / "d.csv").touch()
    settled.known()
    assert settled.reads == 3


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fresh = Inputs(tmp_path, monkeypatch)
    os.utime(fresh.path, ns=(OLD, OLD))  # which is itself a change, of now
    fresh.known()
    fresh.known()
    assert (fresh.reads, list(fresh.memory.glob("*.json"))) == (2, [])


def test_a_file_that_changes_while_it_is_read_is_not_remembered(settled: Inputs, monkeypatch: pytest.MonkeyPatch):
    def read(paths: list[Path]) -> str:
        found = file_fingerprint(paths)
        settled.path.write_text("one\nTWO\n")
        return found

    monkeypatch.setattr(inputs, "file_fingerprint", read)
    time.sleep(settled.pause)
    known_fingerprint([settled.path], settled.memory)
    assert list(settled.memory.glob("*.json")) == []


def test_small_files_are_read_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = Inputs(tmp_path, monkeypatch)
    monkeypatch.setattr(inputs, "WORTH", small.path.stat().st_size + 1)
    assert small.known() == small.known()
    assert (small.reads, small.memory.exists()) == (2, False)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"state": 1}'])
def test_a_damaged_note_is_written_anew(settled: Inputs, damage: str):
    settled.known()
    (note,) = settled.memory.glob("*.json")
    whole = note.read_text()
    note.write_text(damage)
    settled.known()
    assert (settled.reads, note.read_text()) == (2, whole)
