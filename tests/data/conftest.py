from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config.schema import DataConfig


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
            "encoding": "auto",
            "delimiter": "auto",
            "quoting": "auto",
            "header": "auto",
            "validation_size": 0.1,
            "test_size": 0.1,
            "split_seed": 0,
            "resplit": None,
            "resplit_pool": ["train", "validation"],
            "label_budget": None,
            "deduplicate": "none",
        }
        return DataConfig(source=source, **(settings | changes))

    return make
