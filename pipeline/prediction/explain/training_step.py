"""One training step on one tweet, by the training engine itself: which rows move, how far, and which do not."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import take
from pipeline.classifier.engine import Trainer
from pipeline.config.schema import PAD, EmbeddingConfig
from pipeline.config.variants import variant_name
from pipeline.prediction.explain.model import Trained, trainer_of


@dataclass(frozen=True)
class RowStep:
    """What the step did to one row that the tweet reads.

    words : the tokens that take this row (several for `<unk>`); times : how often in all. gradient : L2 norm of the
    row's gradient, as the optimizer got it; None where rows get none. moved : L2 distance the row went; relative : the
    same as a fraction of its length, None for a row of zeros.
    """

    id: int
    row: str
    words: list[str]
    times: int
    gradient: float | None
    moved: float
    relative: float | None


@dataclass(frozen=True)
class LayerStep:
    """What the step did to one array of encoder, head or projection: L2 distance, and relative to its length."""

    name: str
    shape: list[int]
    moved: float
    relative: float | None


@dataclass(frozen=True)
class Step:
    """One step on the tweet with `label`.

    own : whether the rows behave as in the run. loss, probability : cross-entropy (nats) and probability of the label,
    before and after. gradient_norm : of all gradients together, before clipping to `clip_norm`.
    rows_moved, rows_unmoved : stored rows, of V in all, with and without a bit that changed; unmoved_read : rows that
    the tweet reads among the latter. read_moved : rows that changed as the encoder reads them (with a projection: all).
    pad_is_zero : the padding row still is.
    """

    variant: str
    own: bool
    trainable: bool
    label: int
    lr_embedding: float
    lr_head: float
    loss_before: float
    loss_after: float
    probability_before: float
    probability_after: float
    gradient_norm: float
    clip_norm: float | None
    rows: list[RowStep]
    rows_moved: int
    rows_unmoved: int
    unmoved_read: int
    read_moved: int
    pad_is_zero: bool
    layers: list[LayerStep]


def one_step(
    trained: Trained, words: list[str], ids: list[int], label: int, embedding: EmbeddingConfig | None = None
) -> Step:
    """Let the engine take one step on the tweet (`words`, their `ids`), with the run's learning rates.

    embedding : how the rows behave; None: as in the run.
    """
    trainer = trainer_of(trained, ids, label, embedding)
    model, layer = trainer.model, trainer.model.embedding
    rows_before, read_before = layer.rows_VD.detach().clone(), layer.matrix().clone()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    loss_before, probability_before = _loss(trainer)
    norm = _gradient_norm(trainer)
    trainer.train_epoch()
    loss_after, probability_after = _loss(trainer)

    rows_after = layer.rows_VD.detach()
    moved_V, read_V = _changed(rows_before, rows_after), _changed(read_before, layer.matrix())
    gradients = _row_gradients(layer.rows_VD)
    distinct = list(dict.fromkeys(ids))
    times = Counter(ids)
    rows = [
        RowStep(
            id=id,
            row=trained.vocabulary.words[id],
            words=list(dict.fromkeys(word for word, own in zip(words, ids, strict=True) if own == id)),
            times=times[id],
            gradient=gradients.get(id, 0.0) if layer.rows_VD.requires_grad else None,
            moved=float((rows_after[id] - rows_before[id]).norm()),
            relative=_relative(rows_before[id], rows_after[id]),
        )
        for id in distinct
    ]
    rates = trained.train
    return Step(
        variant=variant_name(trainer.run.embedding),
        own=embedding is None,
        trainable=trainer.run.embedding.trainable,
        label=label,
        lr_embedding=rates.lr_embedding,
        lr_head=rates.lr_head,
        loss_before=loss_before,
        loss_after=loss_after,
        probability_before=probability_before,
        probability_after=probability_after,
        gradient_norm=norm,
        clip_norm=rates.clip_norm,
        rows=rows,
        rows_moved=int(moved_V.sum()),
        rows_unmoved=int((~moved_V).sum()),
        unmoved_read=int((~moved_V[distinct]).sum()),
        read_moved=int(read_V.sum()),
        pad_is_zero=not bool(rows_after[PAD].any()),
        layers=[
            LayerStep(name, list(old.shape), float((new.detach() - old).norm()), _relative(old, new.detach()))
            for (name, old), new in zip(before.items(), model.parameters(), strict=True)
            if name != "embedding.rows_VD"
        ],
    )


def _objective(trainer: Trainer) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the tweet, and its log-probabilities (C,)."""
    bags = take(trainer.task.train, torch.tensor([0]))
    logits_BC = trainer.model(bags)
    return F.cross_entropy(logits_BC, trainer.task.train.labels_N), logits_BC.log_softmax(1)[0]


def _loss(trainer: Trainer) -> tuple[float, float]:
    with torch.no_grad():
        loss, said_C = _objective(trainer)
    return float(loss), float(said_C[trainer.task.train.labels_N[0]].exp())


def _gradient_norm(trainer: Trainer) -> float:
    """L2 norm of all gradients of what the engine minimizes, before it clips them."""
    anchor = trainer.run.embedding.anchor
    loss = _objective(trainer)[0]
    if anchor:
        loss = loss + anchor * trainer.model.embedding.anchor_penalty(take(trainer.task.train, torch.tensor([0])))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in trainer.model.parameters() if weight.grad is not None]
    values = [grad.coalesce().values() if grad.is_sparse else grad for grad in gradients]
    trainer.model.zero_grad(set_to_none=True)
    return float(torch.stack([value.norm() for value in values]).norm())


def _row_gradients(rows_VD: Tensor) -> dict[int, float]:
    """L2 norm of the gradient of each row that has one."""
    if rows_VD.grad is None:
        return {}
    grad = rows_VD.grad.coalesce()
    return dict(zip(grad.indices()[0].tolist(), grad.values().norm(dim=1).tolist(), strict=True))


def _changed(before: Tensor, after: Tensor) -> Tensor:
    """Rows (V,) with a bit that differs; by bits, -0.0 is not 0.0."""
    return (before.contiguous().view(torch.int32) != after.contiguous().view(torch.int32)).any(1)


def _relative(before: Tensor, after: Tensor) -> float | None:
    length = float(before.norm())
    return float((after - before).norm()) / length if length else None
