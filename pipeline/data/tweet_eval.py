"""TweetEval's tasks: class names, the folder of a task in a local copy, and the reader of the original files."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from pipeline.config.schema import TWEET_EVAL, DataConfig
from pipeline.data.class_labels import used_names
from pipeline.data.clean_rows import Codes, Row, Source, SourceSplit
from pipeline.data.labels import quoted
from pipeline.data.text_file import text_file
from pipeline.runtime.errors import UserError, nearest

EMOJI = (
    "❤", "😍", "😂", "💕", "🔥", "😊", "😎", "✨", "💙", "😘",
    "📷", "🇺🇸", "☀", "💜", "😉", "💯", "😁", "🎄", "📸", "😜",
)  # fmt: skip
STANCE = ("none", "against", "favor")
# The names of the hub's data set cardiffnlp/tweet_eval; in the original repository, mapping.txt holds them.
TASKS: dict[str, tuple[str, ...]] = {
    "emoji": EMOJI,
    "emotion": ("anger", "joy", "optimism", "sadness"),
    "hate": ("non-hate", "hate"),
    "irony": ("non_irony", "irony"),
    "offensive": ("non-offensive", "offensive"),
    "sentiment": ("negative", "neutral", "positive"),
    **dict.fromkeys((task for task in TWEET_EVAL if task.startswith("stance_")), STANCE),
}
FILES = {"train": "train", "validation": "val", "test": "test"}


def task_folder(root: Path, name: str) -> Path:
    """The folder of task `name` in a local copy of TweetEval; `root` itself where its dataset card declares the task.

    `root` is the copy, its folder `stance`, or the folder of the task. Raises UserError where it lacks the task.
    """
    if folder := find_task(root, name):
        return folder
    tasks = [task for task in {**TASKS, **dict.fromkeys(declared_tasks(root))} if find_task(root, task)]
    if tasks:
        raise UserError(f"{root}: no task data.name={name}{nearest(name, tasks, every=True)}")
    check_task(name)
    raise UserError(f"{root}: no files of TweetEval, such as {name}/train_text.txt or {name}/train.parquet")


def find_task(root: Path, name: str) -> Path | None:
    """The folder of task `name` at or below `root`, None where there is none."""
    names = [name, name.replace("stance_", "stance/")]
    roots = [root, root / "datasets", *([root.parent] if root.name == "stance" else [])]
    folders = [base / task for base in roots for task in names]
    if folder := next((folder for folder in folders if any(folder.glob("train*"))), None):
        return folder
    if name in declared_tasks(root):
        return root
    own = {root.name, f"{root.parent.name}_{root.name}"} & TASKS.keys()
    return root if any(root.glob("train*")) and (not own or name in own) else None


def declared_tasks(root: Path) -> list[str]:
    """The configurations that the dataset card of a folder declares."""
    card = root / "README.md"
    return re.findall(r"^- config_name: *(\S+)", card.read_text("utf-8", "replace") if card.is_file() else "", re.M)


def check_task(name: str | None) -> None:
    """Refuse a name that is no task of TweetEval."""
    if not name:
        raise UserError(f"data.name is not set; data=tweet_eval has {', '.join(TASKS)}")
    if name not in TASKS:
        raise UserError(f"data.name={name}: no task of TweetEval{nearest(name, TASKS, every=True)}")


def is_text_folder(folder: Path) -> bool:
    """Whether a folder has the layout of the original repository."""
    return (folder / "train_text.txt").is_file()


def open_text_folder(folder: Path, config: DataConfig) -> Source:
    """The task in a folder of text files: line i of `train_labels.txt` is the class of line i of `train_text.txt`.

    The class names come from `mapping.txt`, or else from `TASKS`. Raises UserError where the training labels are
    missing, two files differ in their number of lines, or `mapping.txt` holds anything else than ids and names.
    """
    notes: list[str] = []
    names = class_names(folder, str(config.name), notes)
    used = used_names(tuple(names.values()), config)
    codes: Codes = {str(code): name for code, name in names.items()} if used else {}
    splits = {}
    for split, prefix in FILES.items():
        texts, labels = folder / f"{prefix}_text.txt", folder / f"{prefix}_labels.txt"
        if texts.is_file() and split != "train" and not labels.is_file():
            notes.append(f"{texts.name}: there is no {labels.name}, so the split is not used")
        elif texts.is_file():
            rows = text_rows(texts, labels, config.encoding)
            splits[split] = SourceSplit(texts.name, rows, codes=codes)
    return Source(splits, used or None, notes=notes)


def class_names(folder: Path, name: str, notes: list[str]) -> dict[int, str]:
    """Class name of each id, in the order of the ids; empty where neither `mapping.txt` nor `TASKS` has names."""
    published = TASKS.get(name, ())
    paths = [folder / "mapping.txt", *([folder.parent / "mapping.txt"] if folder.parent.name == "stance" else [])]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return dict(enumerate(published))
    names: dict[int, str] = {}
    for number, line in enumerate(text_file(path).lines(), 1):
        index, class_name = [*map(str.strip, line.split("\t")), ""][:2]  # the mapping of emoji has a third column
        if line.strip() and not (index.isdecimal() and class_name and int(index) not in names):
            raise UserError(f"{path}, line {number}: found {quoted(line.strip())}, expected a new id, a tab, a name")
        if line.strip():
            names[int(index)] = class_name
    # The first version of the repository's mapping of `offensive` had its two names swapped.
    stems = [
        [re.sub("^no[nt][-_]", "not-", class_name) for class_name in order] for order in (names.values(), published)
    ]
    if sorted(stems[0]) == sorted(stems[1]) and stems[0] != stems[1]:
        notes.append(
            f"{path.name} names the classes {', '.join(names.values())}, but {name} is published as "
            f"{', '.join(published)}: is the file wrong?"
        )
    return dict(sorted(names.items()))


def text_rows(texts: Path, labels: Path, encoding: str) -> Iterator[Row]:
    """Rows of two parallel text files; a blank line is a row without a text, so that no label moves."""
    if not labels.is_file():
        raise UserError(f"{labels}: no such file; expected the labels of {texts.name}, one per line")
    pairs = zip_longest(text_file(texts, encoding).lines(), text_file(labels).lines())
    for number, (text, label) in enumerate(pairs, 1):
        if text is None or label is None:
            longer = number + sum(1 for _ in pairs)
            counts = (number - 1, longer) if text is None else (longer, number - 1)
            raise UserError(
                f"{texts}: {counts[0]} lines, but {labels.name} has {counts[1]}; expected one label per line"
            )
        yield Row(number, text.removesuffix("\n").removesuffix("\r"), label.strip())
