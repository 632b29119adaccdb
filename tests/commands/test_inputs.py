"""An input that is missing: named before anything slow is loaded, with exit code 2, and nothing is written."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.__main__ import main
from pipeline.config.compose import compose
from pipeline.data.tables import JSON_SAMPLE
from pipeline.runtime.errors import UserError
from pipeline.runtime.nltk_data import search_path
from pipeline.runtime.paths import project_root
from pipeline.stages.inputs import check_inputs

SLOW = {"torch", "mlflow", "gensim", "datasets", "pandas", "sklearn", "matplotlib", "nltk", "scipy"}
LOADED = """
import json, sys
from pipeline.__main__ import main
code = main()
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""

REFUSED = [
    (["data=files", "data.path=nothing.csv"], "data.path: no file or folder {}nothing.csv"),
    (["data=files", "data.path=twets.csv"], "data.path: no file or folder {}twets.csv; did you mean 'tweets.csv'?"),
    (["data=files", "data.path=tweets.csv", "data.text_column=nope"], "{}tweets.csv: no column 'nope' (data.text"),
    (["data=files", "data.path=tweets.csv", "data.label_column=nope"], "{}tweets.csv: no column 'nope' (data.la"),
    (["data=files", "data.path=tweets.tsv.gz", "data.text_column=nope"], "{}tweets.tsv.gz: no column 'nope'"),
    (["data=files", "data.path=tweets.jsonl", "data.text_column=nope"], "{}tweets.jsonl: no column 'nope'"),
    (["data=files", "data.path=long.jsonl", "data.text_column=nope"], "{}long.jsonl: no column 'nope'"),
    (["data=files", "data.path=tweets.parquet", "data.text_column=nope"], "{}tweets.parquet: no column 'nope'"),
    (["data=files", "data.path=folder", "data.text_column=nope"], "{}folder/train.csv: no column 'nope'"),
    (["data=files", "data.path=empty"], "{}empty: no file train.*"),
    (["data=hub", "data.path=./nothing"], "data.path={}nothing is no local file or folder, and no hub id either"),
    (["data=tweet_eval", "data.path=tweets.csv"], "data.path={}tweets.csv is a file, data=tweet_eval expects a folder"),
    (["data=hub", "data.path=./folder", "data.text_column=nope"], "{}folder/train.csv: no column 'nope'"),
    (["data=hub", "data.path=tweets.csv", "data.text_column=nope"], "{}tweets.csv: no column 'nope'"),
    (["data=nltk_twitter"], "data=nltk_twitter: NLTK's corpus twitter_samples is not installed: "),
    (["data=nltk_twitter", "data.path=./nothing"], "data.path: no folder {}nothing"),
    (["data=nltk_twitter", "data.path=folder"], "data=nltk_twitter: NLTK's corpus twitter_samples is not in {}folder"),
    (["text=course"], "text.tokenizer=course: NLTK's corpus stopwords is not installed: "),
    (["probe.polarity=nltk"], "probe.polarity=nltk: NLTK's corpus opinion_lexicon is not installed: "),
    (["cbow.extra_text=nothing.txt"], "cbow.extra_text={}nothing.txt: no such file"),
    (["cbow.extra_text=folder"], "cbow.extra_text={}folder: is a folder, expected a file"),
    (["embedding=pretrained", "embedding.path=nothing.txt"], "embedding.path={}nothing.txt: no such file"),
    (["embedding=distilled_frozen", "distill.model=./nothing"], "distill.model={}nothing is no local folder, and no"),
    (["embedding=run", "embedding.path=folder"], "embedding.path={}folder: not the record of a run; expected a folder"),
    (["probe.similarity_files=[tweets.csv,nothing.txt]"], "probe.similarity_files={}nothing.txt: no such file"),
    (["probe.transfer=[irony]", "probe.transfer_path=./nothing"],
     "probe.transfer_path={}nothing is no local file"),
    (["probe.transfer=[irony@./nothing]"], "probe.transfer=irony@{}nothing is no local file"),
    (["probe.transfer=[sentiment140@./nothing]"],
     "probe.transfer=sentiment140@{}nothing is no local file"),
    (["probe.transfer=[nltk_twitter]"], "probe.transfer=nltk_twitter: data=nltk_twitter: NLTK's corpus"),
    (["probe.transfer=[nltk_twitter@./nothing]"], "probe.transfer: no folder {}nothing"),
    (["-m", "seed=0,1", "data=files", "data.path=nothing.csv"], "data.path: no file or folder {}nothing.csv"),
    (["-m", "data=sample,files", "data.path=nothing.csv"], "data.path: no file or folder {}nothing.csv"),
    (["+experiment=compare", "data=files", "data.path=nothing.csv"], "data.path: no file or folder {}nothing.csv"),
    (["+experiment=compare", "study.baselines=[model2vec]", "study.model2vec=./nothing"],
     "study.model2vec={}nothing is no local folder, and no"),
    (["stage=prepare", "cbow.extra_text=nothing.txt"], "cbow.extra_text={}nothing.txt: no such file"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "folder").mkdir()
    (folder / "empty").mkdir()
    for name in ("tweets.csv", "folder/train.csv"):
        (folder / name).write_text("text,label\nso good,a\nso bad,b\n", "utf-8")
    with gzip.open(folder / "tweets.tsv.gz", "wt") as file:
        file.write("text\tlabel\nso good\ta\nso bad\tb\n")
    row = json.dumps({"text": "so good", "label": "a"}) + "\n"
    (folder / "tweets.jsonl").write_text(2 * row, "utf-8")
    (folder / "long.jsonl").write_text((JSON_SAMPLE + 5) * row, "utf-8")
    pq.write_table(pa.table({"text": ["so good", "so bad"], "label": ["a", "b"]}), folder / "tweets.parquet")
    return folder


@pytest.mark.parametrize(
    ("words", "line"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_it_is_named_before_anything_slow_is_loaded_and_nothing_is_written(folder: Path, words: list[str], line: str):
    before = sorted(folder.rglob("*"))
    environment = {**os.environ, "PYTHONPATH": str(project_root()), "NLTK_DATA": "/nowhere", "HOME": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words, "paths.root=out"], cwd=folder, env=environment, capture_output=True,
        text=True, timeout=100, check=True,
    )  # fmt: skip
    code, modules = json.loads(done.stdout)
    assert code == 2
    assert done.stderr.startswith(f"error: {line.format(f'{folder}/')}")
    assert len(done.stderr.splitlines()) == 1
    assert set(modules) & SLOW == set()
    assert sorted(folder.rglob("*")) == before


def test_what_a_stage_does_not_read_may_be_missing(folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    vectors = ["embedding=pretrained", "embedding.path=nothing.txt", "probe.similarity_files=[nothing.txt]"]
    check_inputs([compose([*vectors, "stage=prepare"])])
    check_inputs([compose(["data=hub", "data.path=owner/name"])])
    check_inputs([compose(["probe.transfer=[sample_topic]", "probe.transfer_path=./nothing"])])
    with pytest.raises(UserError, match="nothing"):
        check_inputs([compose(vectors)])


def test_the_folders_of_corpora_are_those_of_nltk(tmp_path: Path):
    script = "import json, nltk.data; print(json.dumps(nltk.data.path))"
    own = "import json; from pipeline.runtime.nltk_data import search_path; print(json.dumps(search_path()))"
    environment = {**os.environ, "PYTHONPATH": str(project_root()), "NLTK_DATA": f"{tmp_path}:~/b::"}
    lists = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout
        for code in (script, own)
    ]
    assert lists[0] == lists[1]
    import nltk.data

    assert search_path() == list(map(str, nltk.data.path))


def test_a_variant_s_model_is_checked_before_any_run(folder: Path, capfd):
    words = ["study.variants=[random_frozen,distilled_frozen]", "study.pairs=[[random_frozen,distilled_frozen]]"]
    paths = [f"distill.model={folder}/nothing", f"paths.root={folder}/root"]
    assert main(["+experiment=compare", *words, *paths]) == 2
    assert capfd.readouterr().err.startswith(f"error: distill.model={folder}/nothing is no local folder, and no")
    assert not list(folder.glob("root/artifacts/prepare"))
