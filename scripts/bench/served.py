"""The model as `mlflow models serve` answers over HTTP on 127.0.0.1, beside the same model asked in the process.

One connection, one request after another; a round is one batch of requests to each side, and its figure a percentile of
their wall times. The model is a run of the sample, trained, logged and registered by the pipeline's own command.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import Figure, Scale
from tweets import unlabelled

from pipeline.prediction.torch_model import torch_predictor
from pipeline.prediction.trained_model import read_model
from pipeline.runtime.log import log

CHAMPION = "models:/tweet-sentiment-sample@champion"
START_SECONDS = 120
ROOT = Path(__file__).resolve().parents[2]


def figures(scale: Scale) -> Iterator[Figure]:
    """Median and 95th percentile of a request of 1 and of 1,000 texts."""
    folder, rows = scale.folder, 1_000 if scale.quick else 8_000
    command = ["+experiment=random_trainable", f"data.sample.labelled={rows}", f"paths.root={folder}"]
    command += ["data.sample.unlabelled=0", "train.max_epochs=2"]
    code = subprocess.run([sys.executable, "-m", "pipeline", *command], cwd=ROOT, stdout=subprocess.DEVNULL).returncode
    if code:
        raise RuntimeError(f"the run to be served ended with exit code {code}; what it said stands above")
    (run,) = (path.parent for path in (folder / "results").glob("[!.]*/run.json"))
    predictor = torch_predictor(read_model(run))
    texts = list(unlabelled(scale, 1_000)[0])
    with _served(folder) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for asked, requests in ((1, 20 if scale.quick else 200), (1_000, 2 if scale.quick else 20)):
            answers = _ask(connection, texts[:asked])
            expected = [prediction.label for prediction in predictor.predict(texts[:asked], explain=False)]
            if [answer["label"] for answer in answers] != expected:
                raise RuntimeError("the served model and the model in the process disagree")
            served, inside = [], []
            for number in range(1 if scale.quick else 5):
                log.info("Served: %d texts a request, round %d", asked, number + 1)
                parts = [[texts[(first + k) % len(texts)] for k in range(asked)] for first in range(requests)]
                served.append([_milliseconds(partial(_ask, connection, part)) for part in parts])
                inside.append([_milliseconds(partial(predictor.predict, part, explain=False)) for part in parts])
            what = f"a request of {asked:,} text{'s' if asked > 1 else ''}"
            note = f"{requests} requests a round, {len(predictor.labels)} labels"
            for name, share in (("median", 50), ("95th percentile", 95)):
                ours, theirs = (tuple(np.percentile(side, share, axis=1).tolist()) for side in (served, inside))
                yield Figure("Served", f"{what}, {name}", "ms", ours, "predict in the process", theirs, "", note)
        connection.close()


@contextmanager
def _served(folder: Path) -> Iterator[int]:
    """The port of a server that answers; it is ended afterwards."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", CHAMPION, "--env-manager", "local"]
    told = folder / "server.log"
    with told.open("wb") as stream:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder, env=environment, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(server, port, told)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait(server: "subprocess.Popen[bytes]", port: int, told: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the server did not start: {told.read_text('utf-8', 'replace')[-200:]}")
        time.sleep(0.2)


def _ask(connection: http.client.HTTPConnection, texts: list[str]) -> Any:
    body = json.dumps({"inputs": texts}).encode()
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"the server answered {response.status}: {answer[:200]!r}")
    return json.loads(answer)["predictions"]


def _milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
