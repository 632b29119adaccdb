import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure, and a failure should be the same one tomorrow.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave minutes-long tests to CI and to those who ask for them."""
    if os.environ.get("RUN_SLOW") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="minutes long: set RUN_SLOW=1"))


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Finds real data beside the project; a test that needs absent data is skipped."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"no ../shared/data/{name} beside the project")
        return SHARED / name

    return find


@pytest.fixture(autouse=True)
def _no_handlers_of_closed_streams() -> None:
    """Remove log handlers that an earlier test has left with its captured stream, which is closed by now."""
    named = [logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    for logger in (logging.getLogger(), *named):
        for handler in logger.handlers[:]:
            if getattr(getattr(handler, "stream", None), "closed", False):
                logger.removeHandler(handler)
