import platform
import subprocess
import time

import numpy as np
import pytest

from pipeline.runtime.files import write_json
from pipeline.tracking.provenance import NO_GIT, environment


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_commit_and_uncommitted_changes_are_recorded(repository):
    found = environment(repository)
    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert found["git_sha"] == head.stdout.strip()
    assert found["git_dirty"] is False
    (repository / "code.py").write_text("2\n")
    assert environment(repository)["git_dirty"] is True


def test_without_git_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment(tmp_path)["git_sha"] == NO_GIT
    monkeypatch.setenv("PATH", str(tmp_path))
    found = environment(tmp_path)
    assert (found["git_sha"], found["git_dirty"]) == (NO_GIT, None)


def test_a_surrounding_repository_is_not_the_projects(repository):
    inside = repository / "unpacked"
    inside.mkdir()
    assert environment(inside)["git_sha"] == NO_GIT


def test_the_machine_and_versions_are_json_and_fast(tmp_path):
    start = time.perf_counter()
    found = environment(tmp_path, "an accelerator")
    assert time.perf_counter() - start < 2
    write_json(tmp_path / "environment.json", found)
    assert found["device"] == "an accelerator"
    assert found["python"] == platform.python_version()
    assert found["libraries"]["numpy"] == np.__version__
    assert found["cores"] >= 1
    assert found["cpu"]
