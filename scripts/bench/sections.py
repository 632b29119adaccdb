"""The sections of the benchmark, each measured in a process of its own: what one breaks, no other feels."""

import inspect
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from measure import Scale, Skipped

SECTIONS = (
    *("tokenizing", "cbow", "one_model", "static_model", "large_table", "many_runs"),
    *("stacked", "startup", "looking", "growth", "prediction", "served"),
)
OURS = {"pipeline", *(path.stem for path in Path(__file__).parent.glob("*.py")), *SECTIONS}


def measured(section: str, scale: Scale) -> Iterator[tuple[str, Any]]:
    """What a section says, as it says it, in pairs of kind and content.

    `about`: the first paragraph of its docstring. `figure`: a Figure. `notes`: its `NOTES`, if it has any. `image`:
    name and text of an SVG file that it left in `scale.folder`, a scratch folder of its own. `skipped` or `failed`: the
    reason, in one line; the figures before it count.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix=f"{section}-", dir=scale.folder, ignore_cleanup_errors=True) as folder:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_measure, args=(section, replace(scale, folder=Path(folder)), theirs))
        child.start()
        theirs.close()
        ended = False
        try:
            while not ended:
                kind, content = ours.recv()
                ended = kind == "ended"
                if not ended:
                    yield kind, content
        except EOFError:
            child.join()
            yield "failed", f"its process ended with exit code {child.exitcode}"
        finally:
            child.join(10 if ended else 0)
            if child.is_alive():
                _stop_group(child.pid)
            child.join()
        for image in sorted(Path(folder).glob("*.svg")):
            yield "image", (image.name, image.read_text("utf-8"))


def _stop_group(pid: int | None) -> None:
    """End a section's process, and those that it started and left."""
    if pid is not None and os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)


def _measure(section: str, scale: Scale, line: Connection) -> None:
    """In the child: run the section and send what it says."""
    os.setpgid(0, 0)  # a group of its own, so that whatever it starts can be ended with it
    logging.basicConfig(format="%(asctime)s  %(message)s", datefmt="%H:%M:%S", level=logging.INFO, stream=sys.stderr)
    try:
        module = import_module(section)
        paragraph = (inspect.getdoc(module) or "").split("\n\n")[0]
        line.send(("about", " ".join(paragraph.split())))
        for figure in module.figures(scale):
            line.send(("figure", figure))
        line.send(("notes", getattr(module, "NOTES", "")))
    except Skipped as reason:
        line.send(("skipped", str(reason)))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        known = missing in OURS or not missing
        line.send(("failed" if known else "skipped", str(error) if known else f"{missing} is not installed"))
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        message = " ".join(str(error).split())[:300]
        line.send(("failed", f"{type(error).__name__}: {message}" if message else type(error).__name__))
    line.send(("ended", None))
