"""Gradients of the `mean` encoder in closed form, with the inverted index of a batch: as autograd's, but faster.

A batch is a sparse matrix in CSR form: its rows are tweets, its columns are words. The gradient of a word's row is a
sum over the tweets that contain the word, and these are a row of the transposed matrix. Shapes: see `model`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from pipeline.classifier.batch import EVALUATION_BATCH, Bags, Texts, take
from pipeline.classifier.fast.dropout import draw_mask, tweets_per_draw
from pipeline.classifier.model import Classifier, mean_rows

POOLED_BYTES = 1 << 28


@dataclass(frozen=True)
class IndexedBatch:
    """A batch and its inverted index: the CSR transpose, without empty rows.

    bags : the batch itself; ids_U : the distinct ids of the batch, ascending; postings : (tokens,) positions in the
    batch of the tweets with the first id, then with the second, and so on; starts_U : start of each id's postings.
    """

    bags: Bags
    ids_U: Tensor
    postings: Tensor
    starts_U: Tensor


def indexed_batches(bags: Bags, size: int) -> Iterator[IndexedBatch]:
    """Split bags of many tweets into batches of `size`, each with its inverted index.

    One sort transposes all batches, so that small batches cost little more than large ones.
    """
    tweets, ids = torch.arange(len(bags.lengths_B), device=bags.ids.device), bags.ids.long()
    tweet_bits = size.bit_length()
    id_bits = int(ids.max()).bit_length() if len(ids) else 0
    # Sort key of a token: batch, id and tweet (the position in the batch), packed into the bits of one integer.
    tweet_keys = ((tweets // size) << (id_bits + tweet_bits)) + tweets % size
    keys = torch.repeat_interleave(tweet_keys, bags.lengths_B, output_size=len(ids)).add_(ids, alpha=1 << tweet_bits)
    if keys.device.type == "cpu":
        keys.numpy().sort()  # numpy sorts with vector instructions, several times as fast as torch
    else:
        keys = keys.sort().values
    batch_and_id_U, counts_U = torch.unique_consecutive(keys >> tweet_bits, return_counts=True)
    batch_U = batch_and_id_U >> id_bits
    tokens = torch.stack([lengths_B.sum() for lengths_B in torch.split(bags.lengths_B, size)])
    first_token = tokens.cumsum(0) - tokens  # of each batch
    token_counts, id_counts = tokens.tolist(), torch.bincount(batch_U, minlength=len(tokens)).tolist()
    fields = zip(
        torch.split(bags.ids, token_counts),
        torch.split(bags.starts_B - first_token.repeat_interleave(size)[: len(bags.starts_B)], size),
        torch.split(bags.lengths_B, size),
        torch.split(batch_and_id_U & ((1 << id_bits) - 1), id_counts),
        torch.split(keys & ((1 << tweet_bits) - 1), token_counts),
        torch.split(counts_U.cumsum(0) - counts_U - first_token[batch_U], id_counts),
        strict=True,
    )
    for batch_ids, starts_B, lengths_B, ids_U, postings, starts_U in fields:
        yield IndexedBatch(Bags(batch_ids, starts_B, lengths_B), ids_U, postings, starts_U)


def pooled_means(matrices: list[Tensor], texts: Texts, rows_N: Tensor) -> Tensor | None:
    """Mean rows (N, F) of the tweets `rows_N` in frozen matrices, side by side: computed once, not in every epoch.

    None without a frozen matrix, and where they would take more than POOLED_BYTES: memory must not grow with the data.
    """
    dim = sum(matrix_VD.shape[1] for matrix_VD in matrices)
    if not 0 < len(rows_N) * dim * 4 <= POOLED_BYTES:
        return None
    means_NF = torch.empty(len(rows_N), dim, device=rows_N.device)
    for rows_B, means_BF in zip(
        torch.split(rows_N, EVALUATION_BATCH), torch.split(means_NF, EVALUATION_BATCH), strict=True
    ):
        bags = take(texts, rows_B)
        torch.cat([mean_rows(matrix_VD, bags) for matrix_VD in matrices], dim=1, out=means_BF)
    return means_NF


class MeanGradients:
    """Gradients for batches of the tweets `rows_N` (N,) of a split: those of `AutogradGradients`."""

    def __init__(
        self, model: Classifier, texts: Texts, rows_N: Tensor, weights_C: Tensor | None, anchor: float
    ) -> None:
        self.model, self.texts, self.rows_N = model, texts, rows_N
        self.weights_C, self.anchor = weights_C, anchor
        self.frozen_matrices = model.embedding.frozen_matrices()
        self.pooled_NF = pooled_means(self.frozen_matrices, texts, rows_N)
        self.one_hot_CC = torch.eye(model.head.out_features, device=rows_N.device)

    def of_batches(self, order_N: Tensor, size: int, dropout_rng: torch.Generator) -> Iterator[tuple[Tensor, int]]:
        """Set the gradients of one batch after another; yields its mean cross-entropy and its number of tweets."""
        trainable = self.model.embedding.rows_VD.requires_grad
        rate, dim = self.model.dropout, self.model.head.in_features
        for indices in torch.split(order_N, tweets_per_draw(size)):
            rows = self.rows_N.index_select(0, indices)
            labels = self.texts.labels_N.index_select(0, rows).long()
            batches: Iterator[IndexedBatch | None] = repeat(None)
            if trainable:
                batches = indexed_batches(take(self.texts, rows), size)
            masks: Iterable[Tensor | None] = repeat(None)
            if rate:
                masks = torch.split(draw_mask(len(indices), dim, rate, dropout_rng).div_(1 - rate), size)
            tweets = (torch.split(values, size) for values in (indices, rows, labels))
            for indices_B, rows_B, labels_B, batch, mask_BE in zip(*tweets, batches, masks, strict=False):
                yield self.of_batch(self._frozen_means(indices_B, rows_B), labels_B, batch, mask_BE), len(labels_B)

    def _frozen_means(self, indices_B: Tensor, rows_B: Tensor) -> list[Tensor]:
        """Mean rows of a batch in the frozen matrices: pooled ones side by side, others one by one."""
        if self.pooled_NF is not None:
            return [self.pooled_NF.index_select(0, indices_B)]
        return [mean_rows(matrix_VD, take(self.texts, rows_B)) for matrix_VD in self.frozen_matrices]

    def of_batch(
        self, means: list[Tensor], labels_B: Tensor, batch: IndexedBatch | None, mask_BE: Tensor | None
    ) -> Tensor:
        """Set the gradients of one batch; returns its loss.

        means : mean rows in frozen matrices; batch : given where the embedding matrix is trainable; mask_BE : dropout's
        mask, scaled by 1 / (1 - rate).
        """
        embedding, head = self.model.embedding, self.model.head
        rows_VD, projection_DD, weight_CF = embedding.rows_VD, embedding.projection_DD, head.weight
        if batch is not None:
            lengths_B1 = batch.bags.lengths_B.clamp(min=1)[:, None]
            sums_BD = torch.embedding_bag(rows_VD.detach(), batch.bags.ids, batch.bags.starts_B)[0]
            means = [*means, sums_BD.div_(lengths_B1)]
        means_BE = torch.cat(means, dim=1) if len(means) > 1 else means[0]
        features_BE = means_BE if projection_DD is None else means_BE @ projection_DD
        if mask_BE is not None:
            features_BE = features_BE * mask_BE

        log_probs_BC = torch.addmm(head.bias, features_BE, weight_CF.T).log_softmax(1)
        targets_BC = self.one_hot_CC.index_select(0, labels_B)
        if self.weights_C is None:
            targets_BC /= len(labels_B)
        else:
            targets_BC *= self.weights_C
            targets_BC /= targets_BC.sum()
        loss = -torch.dot(log_probs_BC.flatten(), targets_BC.flatten())
        logit_gradient_BC = log_probs_BC.exp_().mul_(targets_BC.sum(1, keepdim=True)).sub_(targets_BC)
        weight_CF.grad, head.bias.grad = logit_gradient_BC.T @ features_BE, logit_gradient_BC.sum(0)
        if projection_DD is None and batch is None:
            return loss

        gradient_BE = logit_gradient_BC @ weight_CF
        if mask_BE is not None:
            gradient_BE *= mask_BE
        if projection_DD is not None:
            projection_DD.grad = means_BE.T @ gradient_BE
        if batch is not None:
            gradient_BD = gradient_BE[:, -rows_VD.shape[1] :] / lengths_B1
            gradient_UD = torch.embedding_bag(gradient_BD, batch.postings, batch.starts_U)[0]
            if self.anchor:
                change_UD = rows_VD.index_select(0, batch.ids_U) - embedding.initial_VD.index_select(0, batch.ids_U)
                gradient_UD.add_(change_UD, alpha=2 * self.anchor / len(labels_B))
            rows_VD.grad = torch.sparse_coo_tensor(
                batch.ids_U[None], gradient_UD, rows_VD.shape, is_coalesced=True, check_invariants=False
            )
        return loss
