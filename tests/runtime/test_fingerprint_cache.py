"""Fingerprints of large inputs are cached, and never returned for a file that has changed."""

import os
import time
from pathlib import Path

import pytest

from pipeline.runtime import fingerprint_cache as module
from pipeline.runtime.files import file_fingerprint, read_json
from pipeline.runtime.fingerprint_cache import cached_fingerprint

OLD = time.time_ns() - 3_600_000_000_000


class Inputs:
    """A file of two lines and a cache; `reads` counts reads of inputs, each `pause` seconds after the request."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, pause: float = 0.0) -> None:
        self.pause = pause
        self.path, self.cache, self.reads = folder / "tweets.txt", folder / "cache", 0
        self.path.write_text("one\ntwo\n")

        def read(paths: list[Path]) -> str:
            self.reads += 1
            return file_fingerprint(paths)

        monkeypatch.setattr(module, "file_fingerprint", read)
        monkeypatch.setattr(module, "MIN_BYTES", 1)

    def fingerprint(self, *, refresh: bool = False) -> str:
        time.sleep(self.pause)
        digest = cached_fingerprint([self.path], self.cache, refresh=refresh)
        assert digest == file_fingerprint([self.path])
        return digest


@pytest.fixture
def settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """With a minimum age of 20 ms instead of two seconds: above the clock's resolution and below the pause."""
    monkeypatch.setattr(module, "MIN_AGE", 20_000_000)
    return Inputs(tmp_path, monkeypatch, pause=0.05)


def test_an_unchanged_file_is_not_read_again(settled: Inputs):
    assert settled.fingerprint() == settled.fingerprint() == settled.fingerprint()
    assert settled.reads == 1
    settled.fingerprint(refresh=True)
    assert settled.reads == 2
    (entry,) = settled.cache.glob("*.json")
    assert read_json(entry)["paths"] == [str(settled.path)]
    assert not list(settled.cache.glob("*.tmp-*"))


def test_a_change_that_keeps_size_and_mtime_is_seen(settled: Inputs):
    os.utime(settled.path, ns=(OLD, OLD))
    settled.fingerprint()
    settled.path.write_text("one\nTWO\n")
    os.utime(settled.path, ns=(OLD, OLD))
    settled.fingerprint()
    assert settled.reads == 2


def test_another_file_under_the_same_path_is_seen(settled: Inputs, tmp_path: Path):
    settled.fingerprint()
    (tmp_path / "other.txt").write_text("six\nten\n")
    (tmp_path / "other.txt").replace(settled.path)
    settled.fingerprint()
    settled.path.rename(tmp_path / "elsewhere.txt")
    settled.path.symlink_to(tmp_path / "third.txt")
    (tmp_path / "third.txt").write_text("ten\nsix\n")
    settled.fingerprint()
    assert settled.reads == 3


def test_a_folder_counts_with_all_below_it(settled: Inputs, tmp_path: Path):
    settled.path = tmp_path / "tweets"
    (settled.path / "sub").mkdir(parents=True)
    for name in ("a.csv", "sub/b.csv"):
        (settled.path / name).write_text(name)
    first = settled.fingerprint()
    assert settled.fingerprint() == first
    (settled.path / "sub" / "b.csv").rename(settled.path / "sub" / "c.csv")
    assert settled.fingerprint() != first
    (settled.path / "sub" / "d.csv").touch()
    settled.fingerprint()
    assert settled.reads == 3


def test_a_file_that_has_just_changed_is_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fresh = Inputs(tmp_path, monkeypatch)
    os.utime(fresh.path, ns=(OLD, OLD))  # which sets the ctime to now
    fresh.fingerprint()
    fresh.fingerprint()
    assert (fresh.reads, list(fresh.cache.glob("*.json"))) == (2, [])


def test_a_file_that_changes_while_it_is_read_is_not_cached(settled: Inputs, monkeypatch: pytest.MonkeyPatch):
    def read(paths: list[Path]) -> str:
        digest = file_fingerprint(paths)
        settled.path.write_text("one\nTWO\n")
        return digest

    monkeypatch.setattr(module, "file_fingerprint", read)
    time.sleep(settled.pause)
    cached_fingerprint([settled.path], settled.cache)
    assert list(settled.cache.glob("*.json")) == []


def test_small_files_are_read_and_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = Inputs(tmp_path, monkeypatch)
    monkeypatch.setattr(module, "MIN_BYTES", small.path.stat().st_size + 1)
    assert small.fingerprint() == small.fingerprint()
    assert (small.reads, small.cache.exists()) == (2, False)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"state": 1}'])
def test_a_damaged_entry_is_rewritten(settled: Inputs, damage: str):
    settled.fingerprint()
    (entry,) = settled.cache.glob("*.json")
    whole = entry.read_text()
    entry.write_text(damage)
    settled.fingerprint()
    assert (settled.reads, entry.read_text()) == (2, whole)
