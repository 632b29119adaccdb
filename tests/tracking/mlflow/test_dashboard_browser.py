"""The dashboard as a reader sees it: a tiny study, `scripts/dashboard` on it, and a headless Chromium."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.runtime.paths import project_root
from pipeline.tracking.mlflow.store import mlflow_client
from tests.study.report.browser import BINARY, Browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BINARY is None, reason="no chromium on this machine")]

PROJECT = project_root()
STUDY = (
    "data.sample.labelled=300 data.sample.unlabelled=100 embedding.dim=8 cbow.epochs=2 train.max_epochs=4 "
    "train.min_epoch_steps=20 train.lr_head=0.05 train.lr_embedding=0.05 study.variants=[random_trainable,cbow_frozen] "
    "study.label_budgets=[60,null] study.seeds=2 study.trial_seeds=1 study.lr_factors=[1] study.baselines=[majority] "
    "probe.transfer=[] study.resamples=100 workers=2"
)
NAMES = {
    f"{variant} · n={budget} · seed {seed} · generated tweets"
    for variant in ("random_trainable", "cbow_frozen")
    for budget in ("60", "all")
    for seed in (0, 1)
}
NOT_OURS = "ResizeObserver loop completed with undelivered notifications."
# Each cell of a row, by column: the table has one part for the columns that stay and one for those that move. A name
# stands below its colour.
TABLE = """(() => {
  const rows = {};
  for (const row of document.querySelectorAll('.ag-row'))
    for (const cell of row.querySelectorAll('.ag-cell'))
      (rows[row.getAttribute('row-index')] ??= {})[cell.getAttribute('col-id')] = cell.innerText.trim();
  return Object.keys(rows).sort((a, b) => a - b).map((index) => rows[index]);
})()"""
COLUMNS = """[...document.querySelectorAll('.ag-header-cell')]
  .map((cell) => [cell.getBoundingClientRect().left, cell.innerText.trim()])
  .sort((a, b) => a[0] - b[0]).map((cell) => cell[1])"""
NAME, SCORE = "attributes.`Run Name`", "metrics.`test/macro_recall`"
SECONDS = 120


@dataclass(frozen=True)
class Dashboard:
    """The running dashboard: the link it printed, the ids of the study's MLflow run and of one of its runs."""

    link: str
    study: str
    run: str
    folder: Path

    @property
    def address(self) -> str:
        return self.link.partition("/#/")[0]

    @property
    def runs(self) -> str:
        return self.link.partition("?")[0]


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    root = tmp_path_factory.mktemp("root")
    command = [sys.executable, "-m", "pipeline", "+experiment=compare", *STUDY.split(), f"paths.root={root}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with mlflow_client(f"sqlite:///{root / 'mlflow.db'}") as client:
        found = client.search_runs([client.get_experiment_by_name("tweet-embeddings").experiment_id])
    ids = {run.info.run_name: run.info.run_id for run in found}
    (study,) = (run.info.run_id for run in found if "pipeline.study" in run.data.tags)
    environment = os.environ | {
        "PORT": "5400",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    server = subprocess.Popen(
        [PROJECT / "scripts" / "dashboard", root], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        link = re.search(r"http://127\.0\.0\.1:\d+/#/experiments/\d+/runs\?\S+", server.stdout.readline())
        assert link is not None
        dashboard = Dashboard(link[0], study, ids["cbow_frozen · n=all · seed 0 · generated tweets"], root)
        for _ in range(SECONDS * 4):
            try:
                urllib.request.urlopen(f"{dashboard.address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.25)
        yield dashboard
    finally:
        server.terminate()
        server.wait(30)
        assert server.stdout is not None
        server.stdout.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, dashboard: Dashboard) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.open(f"{dashboard.address}/health")
    # MLflow opens its assistant beside the very first page.
    browser.value("localStorage['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1'] = 'true'")
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    """A browser whose page is looked at once more after the test: a picture, and no complaint."""
    browser.open("about:blank")
    yield browser
    browser.picture(tmp_path / "page.png")
    thrown = [params for method, params in browser.events if method == "Runtime.exceptionThrown"]
    consoled = [json.dumps(params) for method, params in browser.events if method == "Runtime.consoleAPICalled"]
    refused = [params["entry"] for method, params in browser.events if method == "Log.entryAdded"]
    assert thrown == []
    assert [text for text in consoled if '"type": "error", "args"' in text and NOT_OURS not in text] == []
    # MLflow asks for its own users, whom a server without a password has not.
    assert [entry for entry in refused if not entry.get("url", "").endswith("/users/current")] == []
    outside = [url for url in browser.requests() if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert outside == []


def wait_for(page: Browser, expression: str) -> None:
    page.wait(lambda: page.value(f"Boolean({expression})"), SECONDS)


def table(page: Browser, rows: int) -> list[tuple[str, str, dict[str, str]]]:
    """The table once it has so many rows: of each its name, colour and cells by column."""
    page.wait(lambda: len(page.value(TABLE)) == rows, SECONDS)
    found = []
    for cells in page.value(TABLE):
        colour, name, *_ = cells[NAME].splitlines()
        found.append((name, colour, cells))
    return found


def test_the_link_shows_every_run_of_the_study_best_first(page: Browser, dashboard: Dashboard) -> None:
    page.open(dashboard.link, width=1600)
    # The study has no test score of its own, so it comes last.
    *runs, study = table(page, 9)
    assert {name for name, _, _ in runs} == NAMES
    assert study[0].startswith("sample: macro recall of 2 variants")
    scores = [float(cells[SCORE].rstrip("…")) for _, _, cells in runs]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
    wait_for(page, f"{COLUMNS}.slice(3, 6).join(', ') === 'test/macro_recall, test/accuracy, validation/macro_recall'")
    assert {(name.partition(" ")[0], colour) for name, colour, _ in runs} == {
        ("random_trainable", "#d55e00"),
        ("cbow_frozen", "#56b4e9"),
    }
    names = "[...document.querySelectorAll('.ag-row a')]"
    assert page.value(f"{names}.every((name) => name.scrollWidth <= name.offsetWidth)") is True
    text = page.value("document.body.innerText")
    assert "Runs by score" in text
    assert "A study compares runs" in text


def test_the_menu_of_views_has_ours(page: Browser, dashboard: Dashboard) -> None:
    page.open(dashboard.link, width=1600)
    table(page, 9)
    spot = page.value(
        """(() => {
          const buttons = [...document.querySelectorAll('button')];
          const box = buttons.find((one) => one.innerText.includes('Runs by score')).getBoundingClientRect();
          return [box.left + box.width / 2, box.top + box.height / 2];
        })()"""
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left", clickCount=1)
    wait_for(page, "document.body.innerText.includes('Means over seeds')")
    assert "Studies" in page.value("document.body.innerText")


def test_means_over_seeds_are_right(page: Browser, dashboard: Dashboard) -> None:
    page.open(dashboard.link.replace("ShareKey=runs", "ShareKey=means"), width=1600)
    page.wait(lambda: sum("Group: " in row[NAME] for row in page.value(TABLE)) == 5, SECONDS)
    groups = {row[NAME]: row[SCORE] for row in page.value(TABLE) if "Group: " in row[NAME]}
    with mlflow_client(f"sqlite:///{dashboard.folder / 'mlflow.db'}") as client:
        found = client.search_runs([client.get_experiment_by_name("tweet-embeddings").experiment_id])
    for variant in ("random_trainable", "cbow_frozen"):
        wanted = f"{variant} · n=60"
        scores = [run.data.metrics["test/macro_recall"] for run in found if run.info.run_name.startswith(wanted)]
        (shown,) = (score for name, score in groups.items() if f"variant: {variant}, label_budget: 60" in name)
        assert float(shown.split()[0].rstrip("…")) == pytest.approx(sum(scores) / 2, abs=1e-6)


def test_by_time_the_runs_stand_under_their_study(page: Browser, dashboard: Dashboard) -> None:
    page.open(f"{dashboard.runs}?workflowType=machine_learning", width=1600)
    ((name, _, _),) = table(page, 1)
    assert name.startswith("sample: macro recall")
    page.value("document.querySelector('.ag-row [col-id=\"attributes.`Run Name`\"] button').click()")
    assert {name for name, _, _ in table(page, 9)[1:]} == NAMES


def test_charts_begin_with_the_score_and_the_curves(page: Browser, dashboard: Dashboard) -> None:
    page.open(f"{dashboard.link}&compareRunsMode=CHART", width=1600)
    wait_for(page, "document.querySelectorAll('.js-plotly-plot').length >= 3")
    wait_for(page, "document.querySelectorAll('.js-plotly-plot .lines path, .js-plotly-plot path.js-line').length >= 8")
    text = page.value("document.body.innerText")
    assert "Scores and curves\n(4)" in text
    assert "epoch/validation/macro_recall" in text


def test_the_page_of_a_run_holds_note_scores_settings_and_data(page: Browser, dashboard: Dashboard) -> None:
    page.open(f"{dashboard.runs}/{dashboard.run}?workflowType=machine_learning", width=1600)
    wait_for(page, "document.body.innerText.includes('Datasets')")
    text = page.value("document.body.innerText")
    for part in ("THESE TWEETS ARE GENERATED", "About this run", "Parent run", "sample-t", "label_budget: all"):
        assert part in text.replace("\n:", ":")
    assert "train.lr_head" in text
    assert "paths.root" not in text.splitlines()
    page.value("document.querySelector('input[placeholder=\"Search metrics\"]').focus()")
    page.type("test/macro")
    metrics = "[...document.querySelectorAll('a')].map((link) => link.textContent)"
    wait_for(page, f"!{metrics}.includes('coverage/tokens')")
    assert {"test/macro_recall", "test/macro_f1"} <= set(page.value(metrics))
    # A long line in the note once pushed everything on the right out of the window.
    title = "[...document.querySelectorAll('*')].findLast((one) => one.textContent === 'About this run')"
    assert page.value(f"{title}.getBoundingClientRect().right") < 1600


def test_pictures_and_tables_of_a_run_are_shown(page: Browser, dashboard: Dashboard) -> None:
    page.open(f"{dashboard.runs}/{dashboard.run}/artifacts/curves.png?workflowType=machine_learning", width=1600)
    wait_for(page, "[...document.images].some((image) => image.naturalWidth > 300 && image.src.startsWith('blob:'))")
    page.open("about:blank")
    page.open(f"{dashboard.runs}/{dashboard.run}/artifacts/note.md?workflowType=machine_learning", width=1600)
    wait_for(page, "document.body.innerText.includes('A program of this project wrote them')")


def test_the_report_is_drawn_in_the_artifact_pane_and_works(page: Browser, dashboard: Dashboard) -> None:
    page.open(f"{dashboard.runs}/{dashboard.study}/artifacts/report.html?workflowType=machine_learning", width=1600)
    wait_for(page, "document.querySelector('iframe')")
    assert page.value("document.querySelector('iframe').getAttribute('sandbox')") == "allow-scripts"
    outer, frames = page.session, []
    page.session = ""
    try:
        while not frames:
            targets = page.call("Target.getTargets")["targetInfos"]
            frames = [target["targetId"] for target in targets if target["type"] == "iframe"]
        page.session = page.call("Target.attachToTarget", targetId=frames[0], flatten=True)["sessionId"]
        wait_for(page, "document.querySelectorAll('.word').length > 20")
        assert page.value("document.querySelector('h1').textContent").startswith("sample: macro recall of 2 variants")
        assert page.value("document.querySelectorAll('.verdict').length") >= 2
        drawn = page.value("[...document.images].map((image) => image.complete && image.naturalWidth > 300)")
        assert len(drawn) >= 5
        assert all(drawn)
        # The sandbox lets the map's script run: a search answers.
        page.value(
            "(() => { const field = document.querySelector('.map input[type=search]'); field.value = 'zzzz';"
            "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        assert "zzzz" in page.value("document.querySelector('.map .status').textContent")
    finally:
        page.session = outer


def test_ui_telemetry_is_off(dashboard: Dashboard) -> None:
    with urllib.request.urlopen(f"{dashboard.address}/ajax-api/3.0/mlflow/ui-telemetry", timeout=10) as reply:
        assert json.load(reply)["disable_ui_telemetry"] is True
