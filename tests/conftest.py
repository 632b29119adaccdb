import importlib.util
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


@pytest.fixture(scope="session")
def static_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a model for the baseline model2vec: random vectors of a few words, 16 dimensions.

    Where model2vec is not installed, the folder is empty.
    """
    folder = tmp_path_factory.mktemp("static")
    if importlib.util.find_spec("model2vec") is not None:
        import numpy as np
        from model2vec import StaticModel
        from tokenizers import Tokenizer, models, pre_tokenizers

        words = ["[UNK]", "[PAD]", "bad", "awful", "sad", "plain", "usual", "table", "good", "nice", "happy"]
        words += ["day", "the", "coffee", "bus", "and", "tweet", "monday"]
        tokenizer = Tokenizer(models.WordLevel({word: id for id, word in enumerate(words)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        vectors = np.random.default_rng(0).normal(size=(len(words), 16)).astype(np.float32)
        StaticModel(vectors, tokenizer).save_pretrained(folder)
    return str(folder)
