"""Training steps of the `mean` encoder with their gradients written out: autograd's, at a fraction of the cost.

The gradient of a row is a sum over the tweets that read it, so embedding_bag finds it from the batch turned round.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat

import torch
from torch import Tensor

from pipeline.classifier.batch import EVALUATION_BATCH, Texts, take
from pipeline.classifier.fast.dropout import chunk, draw_kept
from pipeline.classifier.fast.inverted_index import Turned, turned
from pipeline.classifier.model import Classifier, mean_rows

POOLED_BYTES = 1 << 28


def pooled_means(matrices: list[Tensor], texts: Texts, rows_N: Tensor) -> Tensor | None:
    """Mean rows (N, F) of the tweets `rows_N` in matrices that stay, side by side: taken once, not in every epoch.

    None where nothing stays, and where they would take more than POOLED_BYTES: memory must not grow with the data.
    """
    size = sum(matrix_VD.shape[1] for matrix_VD in matrices)
    if not 0 < len(rows_N) * size * 4 <= POOLED_BYTES:
        return None
    means_NF = torch.empty(len(rows_N), size, device=rows_N.device)
    for rows_B, means_BF in zip(
        torch.split(rows_N, EVALUATION_BATCH), torch.split(means_NF, EVALUATION_BATCH), strict=True
    ):
        bags = take(texts, rows_B)
        torch.cat([mean_rows(matrix_VD, bags) for matrix_VD in matrices], dim=1, out=means_BF)
    return means_NF


class MeanSteps:
    """Steps on the tweets `rows_N` (N,) of a split; see `AutogradSteps`, whose gradients these are."""

    def __init__(
        self, model: Classifier, texts: Texts, rows_N: Tensor, weights_C: Tensor | None, anchor: float
    ) -> None:
        self.model, self.texts, self.rows_N = model, texts, rows_N
        self.weights_C, self.anchor = weights_C, anchor
        self.staying = model.embedding.staying()
        self.pooled_NF = pooled_means(self.staying, texts, rows_N)
        self.kinds_CC = torch.eye(model.head.out_features, device=rows_N.device)

    def __call__(self, places_N: Tensor, size: int, noise: torch.Generator) -> Iterator[tuple[Tensor, int]]:
        """Set the gradients of one batch after the other; yields its mean cross-entropy and number of tweets."""
        moves = self.model.embedding.rows_VD.requires_grad
        share, dim = self.model.dropout, self.model.head.in_features
        for places in torch.split(places_N, chunk(size)):
            rows = self.rows_N.index_select(0, places)
            labels = self.texts.labels_N.index_select(0, rows).long()
            batches: Iterator[Turned | None] = turned(take(self.texts, rows), size) if moves else repeat(None)
            kept: Iterable[Tensor | None] = repeat(None)
            if share:
                kept = torch.split(draw_kept(len(places), dim, share, noise).div_(1 - share), size)
            parts = (torch.split(part, size) for part in (places, rows, labels))
            for places_B, rows_B, labels_B, batch, kept_BE in zip(*parts, batches, kept, strict=False):
                yield self.step(self._staying(places_B, rows_B), labels_B, batch, kept_BE), len(labels_B)

    def _staying(self, places_B: Tensor, rows_B: Tensor) -> list[Tensor]:
        """What a batch reads of matrices that stay, one after another or in one."""
        if self.pooled_NF is not None:
            return [self.pooled_NF.index_select(0, places_B)]
        return [mean_rows(matrix_VD, take(self.texts, rows_B)) for matrix_VD in self.staying]

    def step(self, read: list[Tensor], labels_B: Tensor, batch: Turned | None, kept_BE: Tensor | None) -> Tensor:
        """Loss and gradients of one batch: `read` of what stays, `batch` where rows move, `kept_BE` by dropout."""
        embedding, head = self.model.embedding, self.model.head
        rows_VD, projection_DD, weight_CF = embedding.rows_VD, embedding.projection_DD, head.weight
        if batch is not None:
            lengths_B1 = batch.bags.lengths_B.clamp(min=1)[:, None]
            sums_BD = torch.embedding_bag(rows_VD.detach(), batch.bags.ids, batch.bags.starts_B)[0]
            read = [*read, sums_BD.div_(lengths_B1)]
        read_BE = torch.cat(read, dim=1) if len(read) > 1 else read[0]
        features_BE = read_BE if projection_DD is None else read_BE @ projection_DD
        if kept_BE is not None:
            features_BE = features_BE * kept_BE

        said_BC = torch.addmm(head.bias, features_BE, weight_CF.T).log_softmax(1)
        goals_BC = self.kinds_CC.index_select(0, labels_B)
        if self.weights_C is None:
            goals_BC /= len(labels_B)
        else:
            goals_BC *= self.weights_C
            goals_BC /= goals_BC.sum()
        loss = -torch.dot(said_BC.flatten(), goals_BC.flatten())
        slopes_BC = said_BC.exp_().mul_(goals_BC.sum(1, keepdim=True)).sub_(goals_BC)
        weight_CF.grad, head.bias.grad = slopes_BC.T @ features_BE, slopes_BC.sum(0)
        if projection_DD is None and batch is None:
            return loss

        slopes_BE = slopes_BC @ weight_CF
        if kept_BE is not None:
            slopes_BE *= kept_BE
        if projection_DD is not None:
            projection_DD.grad = read_BE.T @ slopes_BE
        if batch is not None:
            slopes_BD = slopes_BE[:, -rows_VD.shape[1] :] / lengths_B1
            sums_UD = torch.embedding_bag(slopes_BD, batch.tweets, batch.begins_U)[0]
            if self.anchor:
                drift_UD = rows_VD.index_select(0, batch.rows_U) - embedding.initial_VD.index_select(0, batch.rows_U)
                sums_UD.add_(drift_UD, alpha=2 * self.anchor / len(labels_B))
            rows_VD.grad = torch.sparse_coo_tensor(
                batch.rows_U[None], sums_UD, rows_VD.shape, is_coalesced=True, check_invariants=False
            )
        return loss
