"""One training step on one tweet by the training engine: loss, gradients, and the change of each parameter."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import take
from pipeline.classifier.engine import Trainer
from pipeline.config.schema import PAD, EmbeddingConfig
from pipeline.config.variants import variant_name
from pipeline.prediction.explain.model import TrainedRun, single_tweet_trainer


def training_step(
    trained: TrainedRun, tokens: list[str], ids: list[int], label: int, embedding: EmbeddingConfig | None = None
) -> dict[str, Any]:
    """Run one step of the training engine on the tweet (`tokens` with their `ids`), with the run's learning rates.

    `embedding` is the configuration of the embedding layer; None: that of the run. Returns:

    as_trained : whether the embedding layer is the run's variant. frozen_dim : dimensions of frozen tables beside
    trainable ones. loss, probability : cross-entropy (nats) and
    probability of the label, before and after. gradient_norm : of all gradients together, before clipping to
    `clip_norm`. rows_changed, rows_unchanged : stored rows, V in all, by whether any bit changed.
    read_rows_unchanged : rows among the latter that the tweet reads. encoder_rows_changed : rows that changed as the
    encoder reads them (with a projection: all). pad_is_zero : whether the padding row is still zero.

    rows : the rows of the embedding matrix that the tweet reads. word : the vocabulary word of the row. tokens :
    distinct tokens that read it (several for `<unk>`). count : how often they read it. gradient_norm : L2 norm of the
    row's gradient after clipping; None if the rows are frozen. change : L2 norm of the update. relative_change : the
    same divided by the row's norm, None for a row of zeros. layers : the same for the other parameter arrays.
    """
    trainer = single_tweet_trainer(trained, ids, label, embedding)
    model, layer = trainer.model, trainer.model.embedding
    rows_before, matrix_before = layer.rows_VD.detach().clone(), layer.matrix().clone()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    loss_before = _cross_entropy(trainer).detach()
    gradient_norm = _gradient_norm(trainer)
    trainer.train_epoch()
    loss_after = _cross_entropy(trainer).detach()

    rows_after = layer.rows_VD.detach()
    changed_V, matrix_changed_V = _changed(rows_before, rows_after), _changed(matrix_before, layer.matrix())
    row_gradients = _row_gradient_norms(layer.rows_VD)
    distinct = list(dict.fromkeys(ids))
    counts = Counter(ids)
    return {
        "variant": variant_name(trainer.run.embedding),
        "as_trained": embedding is None,
        "trainable": trainer.run.trainable,
        "frozen_dim": trainer.run.frozen_dim,
        "label": label,
        "lr_embedding": trained.train.lr_embedding,
        "lr_head": trained.train.lr_head,
        "loss_before": float(loss_before),
        "loss_after": float(loss_after),
        "probability_before": float((-loss_before).exp()),
        "probability_after": float((-loss_after).exp()),
        "gradient_norm": gradient_norm,
        "clip_norm": trained.train.clip_norm,
        "rows": [
            {
                "id": id,
                "word": trained.vocabulary.words[id],
                "tokens": list(dict.fromkeys(token for token, other in zip(tokens, ids, strict=True) if other == id)),
                "count": counts[id],
                "gradient_norm": row_gradients.get(id, 0.0) if layer.rows_VD.requires_grad else None,
                "change": float((rows_after[id] - rows_before[id]).norm()),
                "relative_change": _relative_change(rows_before[id], rows_after[id]),
            }
            for id in distinct
        ],
        "rows_changed": int(changed_V.sum()),
        "rows_unchanged": int((~changed_V).sum()),
        "read_rows_unchanged": int((~changed_V[distinct]).sum()),
        "encoder_rows_changed": int(matrix_changed_V.sum()),
        "pad_is_zero": not bool(rows_after[PAD].any()),
        "layers": [
            {
                "name": name,
                "shape": list(old.shape),
                "change": float((new.detach() - old).norm()),
                "relative_change": _relative_change(old, new.detach()),
            }
            for (name, old), new in zip(before.items(), model.parameters(), strict=True)
            if name != "embedding.rows_VD"
        ],
    }


def _cross_entropy(trainer: Trainer) -> Tensor:
    logits_BC = trainer.model(take(trainer.task.train, torch.tensor([0])))
    return F.cross_entropy(logits_BC, trainer.task.train.labels_N)


def _gradient_norm(trainer: Trainer) -> float:
    """L2 norm of all gradients of the training objective (with the penalty of an anchor), before clipping."""
    anchor = trainer.run.embedding.anchor
    loss = _cross_entropy(trainer)
    if anchor:
        loss = loss + anchor * trainer.model.embedding.anchor_penalty(take(trainer.task.train, torch.tensor([0])))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [weight.grad for weight in trainer.model.parameters() if weight.grad is not None]
    values = [grad.coalesce().values() if grad.is_sparse else grad for grad in gradients]
    trainer.model.zero_grad(set_to_none=True)
    return float(torch.stack([value.norm() for value in values]).norm())


def _row_gradient_norms(rows_VD: Tensor) -> dict[int, float]:
    if rows_VD.grad is None:
        return {}
    grad = rows_VD.grad.coalesce()
    return dict(zip(grad.indices()[0].tolist(), grad.values().norm(dim=1).tolist(), strict=True))


def _changed(before: Tensor, after: Tensor) -> Tensor:
    """Rows (V,) with a bit that differs; by bits, -0.0 is not 0.0."""
    return (before.contiguous().view(torch.int32) != after.contiguous().view(torch.int32)).any(1)


def _relative_change(before: Tensor, after: Tensor) -> float | None:
    norm = float(before.norm())
    return float((after - before).norm()) / norm if norm else None
