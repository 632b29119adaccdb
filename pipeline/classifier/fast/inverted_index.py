"""Batches turned round: which rows a batch reads, and in which tweets. That is how gradients of rows are summed.

Many batches are turned at once, by one sort: their number costs little then, however small they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.classifier.batch import Bags


@dataclass(frozen=True)
class Turned:
    """A batch, and the same from its rows to the tweets that read them.

    rows_U : each row that is read, once, ascending; tweets : the numbers in the batch (tokens,) of the tweets that read
    the first row, then of those that read the second, and so on; begins_U : where in `tweets` a row's part begins.
    """

    bags: Bags
    rows_U: Tensor
    tweets: Tensor
    begins_U: Tensor


def turned(bags: Bags, size: int) -> Iterator[Turned]:
    """Bags of many tweets as batches of `size`, each turned round."""
    tweets, ids = torch.arange(len(bags.lengths_B), device=bags.ids.device), bags.ids.long()
    tweet_bits = size.bit_length()
    id_bits = int(ids.max()).bit_length() if len(ids) else 0
    # One number tells batch, row and tweet, in this order: sorted, they are the batches turned round.
    starts_of = ((tweets // size) << (id_bits + tweet_bits)) + tweets % size
    keys = torch.repeat_interleave(starts_of, bags.lengths_B, output_size=len(ids)).add_(ids, alpha=1 << tweet_bits)
    if keys.device.type == "cpu":
        keys.numpy().sort()  # with vector instructions: several times as fast as torch's sort
    else:
        keys = keys.sort().values
    read_U, counts_U = torch.unique_consecutive(keys >> tweet_bits, return_counts=True)
    batch_of_U = read_U >> id_bits
    tokens = torch.stack([part.sum() for part in torch.split(bags.lengths_B, size)])
    before = tokens.cumsum(0) - tokens
    token_counts, row_counts = tokens.tolist(), torch.bincount(batch_of_U, minlength=len(tokens)).tolist()
    tweets = keys & ((1 << tweet_bits) - 1)
    begins_U = counts_U.cumsum(0) - counts_U - before[batch_of_U]
    starts = bags.starts_B - before.repeat_interleave(size)[: len(bags.starts_B)]
    parts = zip(
        torch.split(bags.ids, token_counts),
        torch.split(starts, size),
        torch.split(bags.lengths_B, size),
        torch.split(read_U & ((1 << id_bits) - 1), row_counts),
        torch.split(tweets, token_counts),
        torch.split(begins_U, row_counts),
        strict=True,
    )
    for ids, starts_B, lengths_B, *rest in parts:
        yield Turned(Bags(ids, starts_B, lengths_B), *rest)
