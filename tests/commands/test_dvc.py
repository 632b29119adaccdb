"""What dvc.yaml says of the pipeline holds, and DVC does with it what docs/dvc.md promises."""

import copy
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from pipeline.config.compose import CONFIG_NAME, VERSION_BASE, compose, conf_folder
from pipeline.config.schema import Config
from pipeline.config.validate import KEYS
from pipeline.runtime.cached_folder import Stage
from pipeline.runtime.files import fingerprint
from pipeline.runtime.paths import project_root
from pipeline.stages import run as stages
from pipeline.stages.cache_keys import KERNEL_SETTINGS
from pipeline.study.publish import REPORT_CODE

ROOT = project_root()
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))
VARIANTS, SEEDS = (next(item[name] for item in DVC["vars"] if name in item) for name in ("variants", "seeds"))
# The groups of conf/ that play a part in a stage and the stages before it.
GROUPS = {"prepare": {"data", "text", "cbow"}, "cbow": {"embedding"}, "compare": {"study"}}
GROUPS["train"] = {"experiment", "model", "train", "probe", "tracking"}
BEFORE = {"prepare": (), "cbow": ("prepare",), "train": ("prepare", "cbow"), "compare": ("prepare", "cbow", "train")}
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHA256 = {
    "vega@5.20.2": "4794d0169cb1f3ebad8117fe98ba5bd652dd725905ec0384e832391dbccb03be",
    "vega-lite@5.2.0": "d73157451b3978015ab31dacd55ff90d986ab8663fc0abed50f97b3cd90002cb",
    "vega-embed@6.18.2": "1ba9826431ddc9805e815ad92acc811c819f2bfd32bda2a128b8c4b5070fab5e",
}


# On other processors the kernels of OpenBLAS, MKL and torch round differently (docs/dvc.md).
CPU = Path("/proc/cpuinfo").read_text("utf-8", "replace") if Path("/proc/cpuinfo").exists() else ""
SAME_KERNELS = "GenuineIntel" in CPU and " avx512f " in CPU
SCORES, TOLERANCE = ("test/accuracy", "test/macro_recall", "test/macro_f1"), 0.02


def filled(text: str, **item: Any) -> str:
    """`text` of dvc.yaml with its variables filled in."""
    values = {f"item.{key}": str(value) for key, value in item.items()}
    values |= {name: str(value) for variables in DVC["vars"] for name, value in variables.items()}
    return re.sub(r"\$\{(.+?)\}", lambda found: values[found[1]], text)


def overrides(stage: str, **item: Any) -> list[str]:
    words = shlex.split(filled(filled(DVC["stages"][stage]["cmd"], **item)))
    assert words[0] == "env"
    words = [word for word in words[1:] if word.partition("=")[0] not in KERNEL_SETTINGS]
    assert words[:3] == ["python", "-m", "pipeline"]
    return words[3:]


def params(stage: str, variant: str) -> dict[str, list[str] | None]:
    """Conf file → its keys that are params of the stage, None for the whole file."""
    found: dict[str, list[str] | None] = {}
    for entry in DVC["stages"][stage]["params"]:
        ((file, keys),) = entry.items()
        found[filled(file, variant=variant, seed=0).removeprefix("conf/")] = keys
    return found


def files_read(texts: list[str]) -> set[str]:
    """The files of conf/ that Hydra composes for a command."""
    with hydra.initialize_config_dir(str(conf_folder()), version_base=VERSION_BASE):
        loader = GlobalHydra.instance().config_loader()
        found = loader.compute_defaults_list(CONFIG_NAME, texts, RunMode.RUN).defaults
    names = {str(default.config_path) for default in found if not str(default.config_path).startswith("hydra")}
    return {f"{name}.yaml" for name in names}


class TestParams:
    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("stage", ["prepare", "cbow", "train", "compare"])
    def test_they_are_the_files_that_are_read(self, stage: str, variant: str):
        texts = overrides(stage, variant=variant, seed=0)
        read = files_read([*texts, f"embedding={variant}"] if stage == "compare" else texts)
        groups = set().union(*(GROUPS[name] for name in (stage, *BEFORE[stage])))
        expected = {file for file in read if file.split("/")[0] in groups} | {"config.yaml"}
        listed = set().union(*(params(name, variant) for name in (stage, *BEFORE[stage])))
        if stage == "compare":
            # Its runs are those of `train`, which name their variant by a recipe.
            listed -= {f"experiment/{variant}.yaml"}
        assert {file for file in listed if file.split("/")[0] in {*groups, "config.yaml"}} == expected

    def test_every_key_that_counts_is_a_param(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        """Change each key of the configuration: a stage whose identity moves must list it."""
        (tmp_path / "a.txt").write_text("more text\n")
        special = {
            "data.source": None, "train.device": None,  # what they choose must be there
            "cbow.extra_text": str(tmp_path / "a.txt"), "probe.similarity_files": [str(tmp_path / "a.txt")],
            "cbow.sources": ["train"], "cbow.unlabelled_texts": 5, "cbow.max_tokens": 50,
            "data.label_budget": 7, "probe.transfer": [], "probe.polarity": "none", "text.tokenizer": "whitespace",
        }  # fmt: skip
        base = compose(["+experiment=cbow_frozen"])
        before = identities(base, monkeypatch)
        moved: dict[str, set[str]] = {stage: set() for stage in before}
        for key in KEYS:
            config = copy.deepcopy(base)
            part: Any = config
            *path, name = key.split(".")
            for step in path:
                part = getattr(part, step)
            now = getattr(part, name)
            value = special.get(key, other(now, KEYS[key].metadata.get("choices", ())))
            if value is None or key in ("seed", "force", "paths.root"):
                continue
            setattr(part, name, value)
            if key == "embedding.dim":
                config.cbow.vector_size = value
            for stage, identity in identities(config, monkeypatch).items():
                if identity != before[stage]:
                    moved[stage].add(key)
        for stage, keys in moved.items():
            listed = {
                f"{file.split('/')[0]}.{name}"
                for file, names in params(stage, "cbow_frozen").items()
                for name in (names if names is not None else whole(file))
            }
            assert {key for key in keys if ".".join(key.split(".")[:2]) not in listed} == set(), stage
        assert {"data.split_seed", "text.min_count", "cbow.use_unlabelled"} <= moved["prepare"]
        assert {"cbow.alpha", "embedding.dim"} <= moved["cbow"]
        assert {"train.lr_head", "data.label_budget", "embedding.scale", "model.dropout"} <= moved["train"]
        assert not {key for key in moved["prepare"] if key.startswith(("train.", "model.", "embedding.", "probe."))}

    def test_code_is_what_the_program_itself_counts(self, monkeypatch: pytest.MonkeyPatch):
        counted: dict[str, set[str]] = {}

        def count(parts: Iterable[str], libraries: Iterable[str]) -> dict[str, Any]:
            parts = set(parts)
            stage = (
                next(part for part in parts if part.startswith("stages/")).removeprefix("stages/").removesuffix(".py")
            )
            counted[{"vectors": "cbow", "learn": "train", "audit": "train"}.get(stage, stage)] = parts
            return {}

        for module in ("prepare", "vectors", "cache_keys"):
            monkeypatch.setattr(f"pipeline.stages.{module}.code_key", count)
        identities(compose(["+experiment=cbow_frozen"]), monkeypatch)
        assert set(counted) == {"prepare", "cbow", "train"}
        for stage, parts in counted.items():
            deps = DVC["stages"][stage]["deps"]
            assert {part for part in parts if not covered(f"pipeline/{part}", deps)} == set(), stage
            assert all((ROOT / path).exists() for path in deps if not path.startswith("dvc_files")), stage

    def test_code_of_the_comparison(self):
        deps = DVC["stages"]["compare"]["deps"]
        parts = (*REPORT_CODE, "evaluation/audit", "evaluation/baselines")
        assert {part for part in parts if not covered(f"pipeline/{part}", deps)} == set()

    def test_compare_reads_what_train_made(self):
        config = compose(overrides("compare"))
        assert config.study.variants == VARIANTS
        assert list(range(config.study.seeds)) == SEEDS
        assert (config.study.label_budgets, config.study.lr_factors) == ([None], [1])
        assert config.paths.dvc == str(Path.cwd() / "dvc_files")


def covered(path: str, deps: Sequence[str]) -> bool:
    """Whether a file or folder is one of `deps` or lies below one."""
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


def other(now: Any, choices: tuple[str, ...]) -> Any:
    """A value that is not the one a key has."""
    if isinstance(now, bool):
        return not now
    if isinstance(now, int | float):
        return now + 1
    if isinstance(now, list):
        return [*now, *now]
    return next((choice for choice in choices if choice != now), "7")


def whole(file: str) -> list[str]:
    return list(yaml.safe_load((conf_folder() / file).read_text("utf-8")))


def identities(config: Config, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What determines each stage besides the outcomes of those before it."""
    found: dict[str, str] = {}
    facts = {"notes": [], "corpus": {"fingerprint": "same", "sources": [["train", 9, 99], ["unlabelled", 9, 99]]}}

    def artifact(config: Config, name: str, identity: Any, work: Callable[[Path], Any]) -> Stage:
        found[name] = fingerprint(identity)
        return Stage(Path(name), name, {"outcome": facts, "seconds": 0, "identity": {}})

    def ensure(folder: Path, identity: Any, work: Any, *, force: bool) -> tuple[Any, bool]:
        found["train"] = fingerprint(identity)
        return {"outcome": {"summary": ""}}, True

    for module in ("prepare", "vectors"):
        monkeypatch.setattr(f"pipeline.stages.{module}.cached_stage", artifact)
    monkeypatch.setattr("pipeline.stages.train.ensure_folder", ensure)
    prepared = stages.prepare(config)
    stages.train(config, prepared, {"cbow": stages.cbow(config, prepared)}, ())
    return {name: found[name] for name in ("prepare", "cbow", "train")}


def environment(tmp_path: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "DVC_ROOT")}
    own = {"PATH": paths, "DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "DVC_NO_ANALYTICS": "1"}
    return kept | own | {"DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "g"), "DVC_SYSTEM_CONFIG_DIR": str(tmp_path / "s")}


class Copy:
    """The project's files without git, as a tarball leaves them, told so as docs/dvc.md says."""

    def __init__(self, tmp_path: Path) -> None:
        self.root, self.environment = tmp_path / "project", environment(tmp_path)
        skip = shutil.ignore_patterns("__pycache__", "tmp", "cache", "config.local")
        for name in (".dvc", "conf", "pipeline"):
            shutil.copytree(ROOT / name, self.root / name, ignore=skip)
        for name in ("dvc.yaml", "dvc.lock", ".dvcignore", "constraints.txt"):
            shutil.copyfile(ROOT / name, self.root / name)
        shutil.copytree(ROOT / "dvc_files" / "metrics", self.root / "dvc_files" / "metrics")
        shutil.copyfile(ROOT / "dvc_files" / "scores.json", self.root / "dvc_files" / "scores.json")
        self.dvc("config", "--local", "core.no_scm", "true")

    def dvc(self, *arguments: str, code: int = 0, limit: int = 120) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=limit,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / file
        text = path.read_text("utf-8")
        assert text.count(old) == 1, (file, old)
        path.write_text(text.replace(old, new), "utf-8")

    def ran(self, *arguments: str, code: int = 0) -> list[str]:
        """The stages that `dvc repro` runs."""
        return re.findall(r"Running stage '(.+)'", self.dvc("repro", *arguments, code=code))


class TestLock:
    def test_it_is_of_these_files(self, tmp_path: Path):
        """Where it fails, run `dvc repro` and commit dvc.lock and dvc_files/ (docs/dvc.md)."""
        status: dict[str, list[Any]] = json.loads(Copy(tmp_path).dvc("status", "--json"))
        stale = {}
        for stage, entries in status.items():
            for entry in entries:
                changed = entry if isinstance(entry, str) else entry.get("changed deps")
                if isinstance(changed, dict):
                    # A fresh clone has no outcomes of stages yet.
                    changed = {path: how for path, how in changed.items() if not path.startswith("dvc_files/")}
                if changed:
                    stale.setdefault(stage, []).append(changed)
        assert stale == {}, f"dvc.lock is older than the files it names: run dvc repro and commit it\n{stale}"

    def test_its_metrics_are_the_committed_ones(self):
        lock = yaml.safe_load((ROOT / "dvc.lock").read_text("utf-8"))["stages"]
        assert len(lock) == 2 + len(SEEDS) * (1 + len(VARIANTS))
        outs = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}
        committed = [path for path in outs if path.endswith(".json")]
        assert len(committed) == len(VARIANTS) * len(SEEDS) + 1
        for path in committed:
            assert hashlib.md5((ROOT / path).read_bytes()).hexdigest() == outs[path], path

    def test_scores_are_the_means_of_the_metrics(self):
        scores = json.loads((ROOT / "dvc_files" / "scores.json").read_text("utf-8"))
        for variant in VARIANTS:
            files = [ROOT / "dvc_files" / "metrics" / f"{variant}-s{seed}.json" for seed in SEEDS]
            found = [json.loads(file.read_text("utf-8"))["test/macro_recall"] for file in files]
            assert scores[variant] == pytest.approx(sum(found) / len(found), abs=1e-12)


class TestPage:
    def test_its_scripts_are_whole_copies(self):
        page = (ROOT / ".dvc" / "page" / "page.html").read_bytes()
        found = re.findall(rb'<script data-package="(.+?)">(.*?)</script>', page, re.DOTALL)
        assert {name.decode(): hashlib.sha256(code).hexdigest() for name, code in found} == SHA256
        rest = re.sub(rb"<script.*?</script>", b"", page, flags=re.DOTALL).decode()
        assert "http" not in rest
        assert [rest.count(name) for name in ("{plot_divs}", "{refresh_tag}", "{scripts}")] == [1, 1, 0]
        licences = (ROOT / ".dvc" / "page" / "LICENSES.txt").read_text("utf-8")
        assert all(name.replace("@", " ") in licences for name in SHA256)

    def test_dvc_uses_it_and_reports_nothing(self):
        config = (ROOT / ".dvc" / "config").read_text("utf-8")
        assert "html_template = page/page.html" in config
        assert "analytics = false" in config

    @pytest.mark.skipif(BROWSER is None, reason="no Chromium")
    def test_it_draws_offline(self, tmp_path: Path):
        project = Copy(tmp_path)
        (project.root / "dvc.lock").unlink()  # the files here are not the ones it names
        for variant in VARIANTS:
            history = project.root / "dvc_files" / "train" / f"{variant}-s0" / "history.csv"
            history.parent.mkdir(parents=True)
            history.write_text("epoch,train/loss,validation/macro_recall\n1,0.6,0.5\n2,0.4,0.7\n")
        scores = project.root / "dvc_files" / "compare" / "tables" / "scores.csv"
        scores.parent.mkdir(parents=True)
        scores.write_text("variant,n,mean,low_total,high_total\ncbow_frozen,3,0.8,0.75,0.85\nmajority,3,0.5,0.5,0.5\n")
        project.dvc("plots", "show", "-o", str(tmp_path / "elsewhere"))
        page = tmp_path / "elsewhere" / "index.html"
        flags = "--headless=new --no-sandbox --disable-gpu --virtual-time-budget=10000 --dump-dom"
        offline = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
        done = subprocess.run(
            [str(BROWSER), *flags.split(), *offline, page.as_uri()], capture_output=True, text=True, timeout=120
        )
        body = re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
        assert body.count('class="marks"') == len([plot for plot in DVC["plots"] if "template" in str(plot)])


# Stands in for the pipeline, so that DVC alone is under test: what a stage leaves says what it was given.
STAND_IN = """
import json, sys, yaml
from pathlib import Path
words = dict(word.lstrip("+").split("=", 1) for word in sys.argv[1:])
root, stage, seed = Path(words["paths.dvc"]), words["stage"], words.get("seed")
def read(*names):
    return [yaml.safe_load(Path("conf", name).read_text()) for name in names]
def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
if stage == "prepare":
    write(root / "prepare/manifest.json", read("data/sample.yaml"))
    write(root / "prepare/corpus.txt", read("text/tweet.yaml"))
if stage == "cbow":
    write(root / f"cbow/s{seed}/vectors.json", [read("cbow/reproducible.yaml"), seed])
if stage == "train":
    cell = f"{words['experiment']}-s{seed}"
    if Path("broken").exists() and cell in Path("broken").read_text():
        sys.exit(1)
    given = [read("train/default.yaml"), (root / "prepare/manifest.json").read_text(), cell]
    given.append((root / f"cbow/s{seed}/vectors.json").read_text())
    write(root / f"train/{cell}/record.json", given)
    write(root / f"metrics/{cell}.json", given)
if stage == "compare":
    write(root / "compare/digest.md", sorted(path.read_text() for path in root.glob("train/*/record.json")))
    write(root / "scores.json", {"cbow_frozen": 0.5})
"""


class TestRepro:
    def test_only_what_changed_runs_again(self, tmp_path: Path):
        project = Copy(tmp_path)
        (project.root / "pipeline" / "__main__.py").write_text(STAND_IN)
        project.edit("dvc.yaml", f"variants: [{', '.join(VARIANTS)}]", "variants: [random_frozen, cbow_frozen]")
        project.edit("dvc.yaml", "seeds: [0, 1, 2]", "seeds: [0, 1]")
        cells = {f"train@{variant}-{seed}" for variant in ("random_frozen", "cbow_frozen") for seed in (0, 1)}
        vectors = {"cbow@0", "cbow@1"}
        order = project.ran("--force")
        assert (order[0], set(order[1:3]), set(order[3:-1]), order[-1]) == ("prepare", vectors, cells, "compare")

        assert project.ran() == []
        project.edit("conf/train/default.yaml", "# The training engine:", "# Another comment:")
        project.edit("conf/train/default.yaml", "lr_head: 3.0e-3 ", "lr_head: 0.003")
        project.edit("conf/study/default.yaml", "# A study:", "# The study:")
        assert project.ran() == []

        project.edit("conf/train/default.yaml", "patience: 5", "patience: 6")
        (project.root / "broken").write_text("cbow_frozen-s1")
        assert set(project.ran("-k", code=255)) == cells
        (project.root / "broken").unlink()
        assert project.ran("-k") == ["train@cbow_frozen-1", "compare"]

        project.edit("conf/study/default.yaml", "resamples: 2000", "resamples: 1000")
        assert project.ran() == ["compare"]
        project.edit("conf/cbow/reproducible.yaml", "alpha: 0.05", "alpha: 0.06")
        assert set(project.ran()) == vectors | cells | {"compare"}

        remote = tmp_path / "remote"
        project.dvc("remote", "add", "--local", "--default", "shared", str(remote))
        project.dvc("push")
        before = {path: path.read_bytes() for path in (project.root / "dvc_files").rglob("*") if path.is_file()}
        for name in ("prepare", "cbow", "train", "compare"):
            shutil.rmtree(project.root / "dvc_files" / name)
        shutil.rmtree(project.root / ".dvc" / "cache")
        project.dvc("pull")
        assert {path: path.read_bytes() for path in before} == before
        assert project.ran() == []


@pytest.mark.slow
class TestReproduced:
    def test_the_locked_metrics_come_out_again(self, tmp_path: Path):
        """To the byte on the kind of processor that made the lock, with the locked versions; elsewhere to TOLERANCE."""
        project = Copy(tmp_path)
        committed = {path: path.read_bytes() for path in (project.root / "dvc_files").rglob("*.json")}
        assert len(committed) == len(VARIANTS) * len(SEEDS) + 1
        shutil.rmtree(project.root / "dvc_files")
        project.dvc("repro", limit=1800)
        different = {path: data for path, data in committed.items() if path.read_bytes() != data}
        if SAME_KERNELS:
            assert [path.name for path in different] == []
        for path, data in different.items():
            now = json.loads(path.read_bytes())
            scores = {
                key: value for key, value in json.loads(data).items() if key in SCORES or path.name == "scores.json"
            }
            assert {key: now[key] for key in scores} == pytest.approx(scores, abs=TOLERANCE), path.name
        assert project.ran() == []
