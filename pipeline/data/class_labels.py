"""Class names of integer labels (`ClassLabel` of the library `datasets`), from Parquet files and data cards."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.schema import DataConfig
from pipeline.data.clean_rows import Codes


def declared_names(path: Path, column: str) -> tuple[str, ...]:
    """The class names that the schema of a Parquet file holds for `column`; empty where it has none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() != ".parquet":
        return ()
    try:
        metadata = pq.read_schema(path).metadata or {}
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        return tuple(feature["names"]) if feature["_type"] == "ClassLabel" else ()
    except (KeyError, TypeError, ValueError, OSError, pa.ArrowException):  # the reader of the rows names the fault
        return ()


def used_names(names: Sequence[str], config: DataConfig) -> tuple[str, ...]:
    """`names`, or none of them where `data.labels` holds none of them either, and so names the codes itself."""
    return () if config.labels and not {str(label) for label in config.labels} & {*names} else tuple(names)


def class_codes(declared: Sequence[str], config: DataConfig, *, text: bool = False) -> tuple[tuple[str, ...], Codes]:
    """The names of the classes, and of each code; -1 is a missing label. Both are empty where none are declared.

    text : whether the labels come from a text file, where a code is a string. Elsewhere a string that is a name is no
    code, as in `ClassLabel.cast_storage` of `datasets`.
    """
    names = used_names(declared, config)
    codes: dict[object, str | None] = {-1: None, "-1": None} if declared else {}
    for code, name in enumerate(names):
        codes |= {code: name, str(code): name}
    return names, codes if text else codes | {name: name for name in names}
