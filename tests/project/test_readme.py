"""What the README says of the files holds."""

import re
import subprocess

import pytest

from pipeline.runtime.paths import project_root

ROOT = project_root()
README = (ROOT / "README.md").read_text("utf-8")


def tree() -> dict[str, str]:
    """Path and phrase of every entry of the README's tree; entries such as `train/ probe/` are several."""
    (block,) = [text for text in re.findall(r"```\n(.*?)```", README, re.DOTALL) if text.startswith("pyproject.toml")]
    entries: dict[str, str] = {}
    folders: list[str] = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names, _, phrase = re.match(r" *(\S+(?: \S+/)*)( +)(\S.*)?$|$", line.ljust(200)).group(1, 2, 3)
        for name in names.split():
            folders[depth:] = [name]
            entries["".join(folders[: depth + 1])] = phrase.strip() if phrase else ""
    return entries


def files(folder: str) -> set[str]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(found.stdout.split())


def test_every_entry_exists():
    assert len(tree()) > 60
    for path in tree():
        assert (ROOT / path).exists(), path


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_every_module_and_script_is_told():
    told = {path for path, phrase in tree().items() if phrase}
    expected = {path for path in files("pipeline") | files("scripts") if not path.endswith("__init__.py")}
    assert {path for path in told if path.startswith(("pipeline/", "scripts/")) and not path.endswith("/")} == expected


def test_options_of_each_group_are_told():
    for path, phrase in tree().items():
        if path.startswith("conf/") and path.endswith("/") and path != "conf/":
            assert {file.stem for file in (ROOT / path).glob("*.yaml")} == set(phrase.split()), path


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_scripts_are_executable_and_short():
    for path in (path for path in files("scripts") if not path.startswith("scripts/bench/")):
        assert (ROOT / path).stat().st_mode & 0o111, path
        assert len((ROOT / path).read_text("utf-8").splitlines()) < 60
