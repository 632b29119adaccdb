"""The copies that stages leave for DVC: equal bytes from every root, and taken instead of doing the work again."""

from pathlib import Path

import pytest

from pipeline.cli.summary import IGNORED
from pipeline.config.compose import compose
from pipeline.runtime.files import read_json
from pipeline.stages import run as stages

TINY = [
    "data.sample.labelled=600", "data.sample.unlabelled=500", "cbow.epochs=2", "embedding.dim=16", "train.max_epochs=3",
    "tracking.enabled=false", "workers=1", "+experiment=cbow_finetuned",
]  # fmt: skip


def run(root: Path, stage: str, *more: str) -> Path | None:
    words = [*TINY, f"stage={stage}", f"paths.root={root}", *more]
    return stages.run(compose(words), words)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root where `prepare`, `cbow` and `train` left their copies in dvc/, as DVC has them do."""
    root = tmp_path_factory.mktemp("made")
    for stage in ("prepare", "cbow", "train"):
        run(root, stage, f"paths.dvc={root / 'dvc'}")
    return root


class TestLeave:
    def test_fixed_names(self, made: Path):
        names = set(contents(made / "dvc"))
        assert {"prepare/corpus.txt", "prepare/manifest.json", "cbow/s0/vectors.safetensors"} <= names
        record = {name.removeprefix("train/cbow_finetuned-s0/") for name in names if name.startswith("train/")}
        assert {"metrics.json", "model.safetensors", "embedding.safetensors", "predictions.parquet"} <= record
        assert record.isdisjoint({"note.md", "timings.json"})
        assert "metrics/cbow_finetuned-s0.json" in names

    def test_metrics_are_those_of_a_direct_run(self, made: Path, tmp_path: Path):
        record = run(tmp_path, "all")
        assert record is not None
        direct = (record / "metrics.json").read_bytes()
        assert (made / "dvc" / "metrics" / "cbow_finetuned-s0.json").read_bytes() == direct
        assert (made / "dvc" / "train" / "cbow_finetuned-s0" / "metrics.json").read_bytes() == direct
        assert not (tmp_path / "dvc").exists()

    def test_another_root_gives_the_same_bytes(self, made: Path, tmp_path: Path):
        for stage in ("prepare", "cbow", "train"):
            run(tmp_path, stage, f"paths.dvc={tmp_path / 'dvc'}", "workers=2", "tracking.experiment=other")
        assert contents(tmp_path / "dvc") == contents(made / "dvc")
        assert not [name for name, data in contents(tmp_path / "dvc").items() if str(tmp_path).encode() in data]

    def test_manifest_is_of_the_copy(self, made: Path):
        for place in ("prepare", "cbow/s0", "train/cbow_finetuned-s0"):
            manifest = read_json(made / "dvc" / place / "manifest.json")
            assert set(manifest) == {"identity", "outcome", "files"}
            found = contents(made / "dvc" / place)
            assert manifest["files"] == {name: len(found[name]) for name in found if name != "manifest.json"}


class TestTake:
    def test_a_copy_is_taken_and_nothing_done_again(
        self, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ):
        def fail(*arguments: object) -> None:
            raise AssertionError("done again")

        monkeypatch.setattr("pipeline.stages.prepare.prepare_texts", fail)
        monkeypatch.setattr("pipeline.embedding.cbow.train_cbow", fail)
        with caplog.at_level("INFO", logger="pipeline"):
            record = run(tmp_path, "train", f"paths.dvc={made / 'dvc'}")
        assert [line for line in caplog.messages if "copied from" in line] == [
            f"{stage}: copied from {made / 'dvc' / place}"
            for stage, place in (("prepare", "prepare"), ("cbow", "cbow/s0"))
        ]
        assert record is not None
        assert (record / "metrics.json").read_bytes() == (made / "dvc/metrics/cbow_finetuned-s0.json").read_bytes()

    @pytest.mark.parametrize("change", ["data.split_seed=1", "force=true"])
    def test_only_what_fits(self, made: Path, tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture):
        with caplog.at_level("INFO", logger="pipeline"):
            run(tmp_path, "prepare", f"paths.dvc={tmp_path / 'dvc'}")
            (tmp_path / "artifacts").rename(tmp_path / "away")
            caplog.clear()
            run(tmp_path, "prepare", f"paths.dvc={tmp_path / 'dvc'}", change)
        assert not [line for line in caplog.messages if "copied from" in line]

    def test_a_copy_that_is_cut_short_is_not_used(self, tmp_path: Path, caplog: pytest.LogCaptureFixture):
        run(tmp_path, "prepare", f"paths.dvc={tmp_path / 'dvc'}")
        whole = (tmp_path / "dvc" / "prepare" / "corpus.txt").read_bytes()
        (tmp_path / "dvc" / "prepare" / "corpus.txt").write_bytes(whole[:-1])
        (tmp_path / "artifacts").rename(tmp_path / "away")
        with caplog.at_level("INFO", logger="pipeline"):
            run(tmp_path, "prepare", f"paths.dvc={tmp_path / 'dvc'}")
        assert any("cut short" in line for line in caplog.messages)
        assert (tmp_path / "dvc" / "prepare" / "corpus.txt").read_bytes() == whole


def test_a_record_with_the_embedding_serves_where_none_is_asked_for(made: Path):
    record = run(made, "train")
    assert run(made, "train", "tracking.keep_embedding=false") == record
    without = run(made, "train", "tracking.keep_embedding=false", "seed=1")
    assert without is not None
    assert not (without / "embedding.safetensors").exists()
    both = run(made, "train", "seed=1")
    assert both != without
    assert run(made, "train", "tracking.keep_embedding=false", "seed=1") == both


def test_where_copies_go_makes_no_other_row_in_the_summary():
    assert "paths.dvc" in IGNORED
