"""Distilled word vectors: each word through a sentence transformer, principal components, weights by frequency.

The method is model2vec's. Its `distill(vocabulary=…)` also reads the model's own tokens. On one busy core it was at
80 % after 12 minutes, where this loop took 60 s for the same 50,681 words: words of equal length share a batch here.
"""

import dataclasses
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.config.schema import DistillConfig
from pipeline.embedding.word_vectors import Vectors
from pipeline.runtime.errors import UserError, one_line
from pipeline.runtime.log import log, progress

MAX_TOKENS = 64  # of one word; those beyond are cut off
# The training data that a model card states, by the model's name.
TRAINING_DATA = {"all-MiniLM-L6-v2": "about a billion sentence pairs"}


def distill(
    words: Sequence[str], counts: NDArray[np.int64], settings: DistillConfig, dim: int, *, threads: int
) -> Vectors:
    """Make word vectors of `dim` dimensions for N distinct words, whose counts (N,) are those of the training text.

    A word's sentence vector is reduced to the first `dim` principal components of all words, and multiplied by
    a / (a + p) with a = `smoothing` and p the word's share of all counts (Arora, Liang & Ma 2017). Nothing is random,
    and every batch runs on one thread: the vectors do not depend on the number of `threads`.

    Raises UserError where the model cannot be loaded, or has fewer than `dim` dimensions, or words are too few.
    """
    start = time.perf_counter()
    if len(words) <= dim:
        raise UserError(f"distilled vectors of embedding.dim={dim} need {dim + 1} words, but there are {len(words)}")
    tokenizer, model = load_model(settings)
    if model.config.hidden_size < dim:
        problem = f"distill.model={settings.model} has {model.config.hidden_size} dimensions"
        raise UserError(f"{problem}, embedding.dim={dim}: set embedding.dim={model.config.hidden_size} or lower")
    name = model_name(settings.model)
    log.info(f"distilled: {len(words):,} words through {name}, {model.config.hidden_size} dimensions reduced to {dim}")
    vectors_NH = sentence_vectors(words, tokenizer, model, settings.batch_size, threads)
    with threadpool_limits(1):  # more threads round differently
        vectors_ND = principal_components(vectors_NH, dim)
    weights_N = settings.smoothing / (settings.smoothing + counts / max(counts.sum(), 1))
    data = TRAINING_DATA.get(name, "the data that its model card names")
    info: dict[str, Any] = {
        "algorithm": "distilled",
        "knobs": dataclasses.asdict(settings) | {"dim": dim},
        "reproducible": True,
        "commit": getattr(model.config, "_commit_hash", None),  # of a model from the hub
        "words": len(words),
        "versions": {name: metadata.version(name) for name in ("numpy", "tokenizers", "torch", "transformers")},
        "seconds": round(time.perf_counter() - start, 3),
    }
    version = f" (commit {info['commit']})" if info["commit"] else ""
    info["notes"] = [
        f"the vectors were distilled from the sentence transformer {name}{version}, which was trained on {data}; "
        "CBOW reads this project's texts alone"
    ]
    return Vectors(list(words), counts, (vectors_ND * weights_N[:, None]).astype(np.float32), info)


def model_name(model: str) -> str:
    """The last part of a hub id; of a local folder, the title of its model card, where it has one."""
    card = Path(model) / "README.md"
    title = re.search(r"^# +(.+)$", card.read_text("utf-8", "replace"), re.MULTILINE) if card.is_file() else None
    return title[1].strip() if title else Path(model).name


def load_model(settings: DistillConfig) -> tuple[Any, Any]:
    """Load tokenizer and model in float32, from a local folder or the hub; every failure is a UserError of one line."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    local = Path(settings.model).is_dir()
    source = {"revision": settings.revision, "local_files_only": local}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(settings.model, **source)
        options = {"dtype": torch.float32, "use_safetensors": True}  # other files are pickles, which can run code
        model = transformers.AutoModel.from_pretrained(settings.model, **source, **options)
    except Exception as error:  # transformers and its hub client raise many unrelated kinds
        advice = "; the network may be missing or the name wrong: distill.model=<local folder> works offline"
        problem = f"distill.model={settings.model}: could not load it"
        raise UserError(f"{problem}: {one_line(error).rstrip('.')}{'' if local else advice}") from error
    return tokenizer, model.eval()


def sentence_vectors(
    words: Sequence[str], tokenizer: Any, model: Any, batch_size: int, threads: int
) -> NDArray[np.float32]:
    """The model's vector of each word by itself, (N, H): the mean over its tokens, marks of begin and end included."""
    ids = tokenizer(list(words), truncation=True, max_length=MAX_TOKENS)["input_ids"]
    order = sorted(range(len(words)), key=lambda row: len(ids[row]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    vectors_NH = np.empty((len(words), model.config.hidden_size), np.float32)

    @torch.inference_mode()
    def encode(rows: list[int]) -> None:
        batch = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
        mask_BT1 = batch["attention_mask"][..., None]
        states_BTH = model(**batch).last_hidden_state
        vectors_NH[rows] = ((states_BTH * mask_BT1).sum(1) / mask_BT1.sum(1)).numpy()

    torch_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            for _ in progress(pool.map(encode, batches), total=len(batches), label="distilled", unit="batches"):
                pass
    finally:
        torch.set_num_threads(torch_threads)
    return vectors_NH


def principal_components(vectors_NH: NDArray[np.float32], dim: int) -> NDArray[np.float64]:
    """Scores (N, D) of the first D principal components; in each direction the number of largest size is positive."""
    centred_NH = vectors_NH - vectors_NH.mean(axis=0, dtype=np.float64)
    _, directions_HH = np.linalg.eigh(centred_NH.T @ centred_NH)  # by rising variance
    directions_HD = directions_HH[:, ::-1][:, :dim]
    signs_D = np.sign(directions_HD[np.abs(directions_HD).argmax(axis=0), np.arange(dim)])
    return np.asarray(centred_NH @ (directions_HD * signs_D))
