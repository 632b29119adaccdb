"""The layout of the package: twelve folders, twelve layers, short modules, plain words."""

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import grimp
import pytest

from pipeline.runtime.paths import project_root

ROOT = project_root()
PACKAGE = ROOT / "pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = {
    *("cli", "study", "stages", "tracking", "prediction", "evaluation"),
    *("classifier", "embedding", "text", "data", "config", "runtime"),
}
LINES_OF_A_MODULE, LINES_IN_ALL = 300, 26_350
# Private words for things that have a name in the field.
RIDDLES = {
    "found",
    "told",
    "shown",
    "kept",
    "place",
    "said",
    "asked",
    "learned",
    "tried",
    "begun",
    "goals",
    "slopes",
}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def identifiers(path: Path) -> Counter[str]:
    """Every name that a module gives: variables, parameters, functions, classes, attributes, loop variables."""
    names: Counter[str] = Counter()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Name):
            names[node.id] += 1
        elif isinstance(node, ast.arg):
            names[node.arg] += 1
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] += 1
    return names


def test_twelve_folders_and_the_entry_point():
    entries = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert entries == FOLDERS | {"__init__.py", "__main__.py"}
    assert all(lines(path) == 0 for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def test_twelve_layers_hold_every_folder():
    (layers,) = (c["layers"] for c in CONTRACTS if c["type"] == "layers" and "containers" not in c)
    assert {layer.removeprefix("pipeline.") for layer in layers} == FOLDERS
    assert len(layers) == 12


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_imports_keep_to_the_layers():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_no_circle_of_imports():
    graph = grimp.build_graph("pipeline", cache_dir=None, exclude_type_checking_imports=True)
    below: dict[str, set[str]] = {}
    waiting = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while free := {module for module, imported in waiting.items() if imported <= set(below)}:
        below |= {module: waiting.pop(module) for module in free}
    assert set(waiting) == set(), "modules that import each other, or import such modules"


def test_modules_are_short():
    assert {str(path.relative_to(ROOT)): lines(path) for path in MODULES if lines(path) > LINES_OF_A_MODULE} == {}
    assert sum(map(lines, MODULES)) <= LINES_IN_ALL


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name != "__init__.py"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_module_says_first_what_it_holds(path: Path):
    line = first_line(path)
    assert 10 <= len(line) <= 110, line
    assert line[-1] in ".:;,)" or line[-1].isalnum()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_are_of_the_field(path: Path):
    assert {name: count for name, count in identifiers(path).items() if name in RIDDLES} == {}


def test_the_architecture_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "architecture"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
