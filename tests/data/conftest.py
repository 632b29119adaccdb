from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.schema import DataConfig

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def data_config() -> Callable[..., DataConfig]:
    def make(source: str, **changes: Any) -> DataConfig:
        settings: dict[str, Any] = {
            "path": None,
            "name": None,
            "revision": None,
            "text_column": "text",
            "label_column": "label",
            "labels": None,
            "validation_size": 0.1,
            "test_size": 0.1,
            "split_seed": 0,
            "label_budget": None,
            "deduplicate": "none",
        }
        return DataConfig(source=source, **(settings | changes))

    return make


@pytest.fixture
def shared() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"no ../shared/data/{name} beside the project")
        return SHARED / name

    return find
