"""The README is short and plain, and what it and docs/ say of the files holds."""

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.config.variants import PROSE_NAMES
from pipeline.runtime.paths import project_root

ROOT = project_root()
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOUR = ("random_trainable", "random_frozen", "cbow_frozen", "cbow_finetuned")


def sentences(page: str) -> list[list[str]]:
    """The words of every sentence outside code, tables and pictures."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    text = re.sub(r"^(\||#).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"!\[.*?\]\(.*?\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    paragraphs = re.split(r"\n\s*\n|\n(?=- |\d\. )", text)
    parts = [part for paragraph in paragraphs for part in re.split(r"(?<=[.?!:])\s+", paragraph)]
    return [words for part in parts if (words := part.split()) and len(words) > 1]


def files(folder: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(listed.stdout.split())


def test_it_is_short():
    assert len(README.splitlines()) <= 150
    assert len(README.split()) <= 1300


def test_its_sentences_are_short():
    lengths = [len(words) for words in sentences(README)]
    assert sum(lengths) / len(lengths) < 18
    assert [" ".join(words) for words in sentences(README) if len(words) > 35] == []


def test_the_four_variants_have_their_names():
    assert all(PROSE_NAMES[name] in README for name in FOUR)


def test_every_recipe_has_its_question():
    named = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert named == {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text("utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_scripts_are_executable_and_short():
    for path in (path for path in files("scripts") if not path.startswith("scripts/bench/")):
        assert (ROOT / path).stat().st_mode & 0o111, path
        text = (ROOT / path).read_text("utf-8")
        assert len(text.splitlines()) < 60 or "python3" in text.partition("\n")[0], path
