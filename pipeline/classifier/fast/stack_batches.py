"""The batches of many runs and many steps, packed into integer buffers of fixed size.

Shapes: K steps, R runs, B tweets of a run's batch, P = K R pairs of a step and a run; per pair, T slots for tokens,
U for distinct rows, G for tweets (B, and spare ones that take up the unused token slots).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.classifier.batch import Texts

TOKENS_PER_SPARE = 32  # token slots for each spare bag: no spare bag is then much longer than a real one


@dataclass(frozen=True)
class Sizes:
    """The fixed sizes of one step; T = U = 0 where the embedding matrices are frozen."""

    runs: int
    tweets: int
    tokens: int = 0
    rows: int = 0

    @property
    def bags(self) -> int:
        """G."""
        return self.tweets + self.tokens // TOKENS_PER_SPARE + 1 if self.tokens else 0

    @property
    def slots(self) -> tuple[int, ...]:
        """Slots per run of each field of a `StackedBatch`, in its order."""
        return (self.tweets, self.tokens, self.bags, self.tokens, self.rows, self.rows)


@dataclass(frozen=True)
class StackedBatch:
    """One step of all runs: int32 views of one buffer, so that one copy fills all of them.

    The rows of all runs are numbered word × R + run. Row 0 is spare and always zero; unused slots refer to it.

    tweets_RB : training tweets, -1 where a run has fewer.
    ids_RT : the row of each token, tweet after tweet.
    tweet_starts_RG : where each tweet's tokens start among the R T token slots.
    postings_RT : for the tokens sorted by word, their tweet (run × B + position in the batch); R B for none.
    rows_RU : the distinct rows.
    row_starts_RU : where each row's postings start among the R T token slots.
    """

    tweets_RB: Tensor
    ids_RT: Tensor
    tweet_starts_RG: Tensor
    postings_RT: Tensor
    rows_RU: Tensor
    row_starts_RU: Tensor

    @classmethod
    def view(cls, buffer: Tensor, sizes: Sizes) -> "StackedBatch":
        """The fields of a buffer."""
        fields = torch.split(buffer, [sizes.runs * slots for slots in sizes.slots])
        return cls(*(field.view(sizes.runs, slots) for field, slots in zip(fields, sizes.slots, strict=True)))


def round_up(size: int) -> int:
    """`size` rounded up by at most an eighth, so that few different sizes occur."""
    grain = 1 << max(size.bit_length() - 4, 0)
    return -(-size // grain) * grain


def _starts(lengths_PG: Tensor, used_P: Tensor, tokens: int) -> Tensor:
    """Starts of bags of these lengths; the bags from `used_P` on are spare and share the unused token slots evenly.

    The CUDA kernel of `embedding_bag` extends the last bag to the end of all ids and sums a bag sequentially: one long
    bag of all unused slots would delay the step.
    """
    ends_PG = lengths_PG.cumsum(1)
    bags = lengths_PG.shape[1]
    bag_G = torch.arange(bags, device=lengths_PG.device)[None]
    total_P1, used_P1 = ends_PG[:, -1:], used_P[:, None]
    share_P1 = (tokens - total_P1 + bags - used_P1 - 1).div(bags - used_P1, rounding_mode="floor")
    spare_PG = (total_P1 + (bag_G - used_P1) * share_P1).clamp(max=tokens)
    return torch.where(bag_G < used_P1, ends_PG - lengths_PG, spare_PG)


def pack_batches(tweets_KRB: Tensor, texts: Texts | None, min_sizes: tuple[int, int] = (0, 0)) -> tuple[Tensor, Sizes]:
    """Pack the batches of K steps into int32 buffers (K, slots of all fields), views of which are `StackedBatch`es.

    The sizes follow from the tweets: it synchronizes with the device twice.

    Parameters
    ----------
    tweets_KRB : training tweets of each step and run, -1 for none.
    texts : the training split with ids from 1 where the embedding matrices train; None where they are frozen.
    min_sizes : least T and U, so that few different sizes occur.

    Examples
    --------
    One step (K = 1) of two runs (R = 2) with batches of two tweets (B = 2). Tweet 0 has the words [5, 3, 5], tweet 1
    [3], tweet 2 [7]. Run 0 reads tweets 0 and 1, run 1 only tweet 2: `tweets_KRB` is [[[0, 1], [2, -1]]]. The most
    tokens are T = 4, in run 0. With a spare slot each, there are U = 2 + 1 distinct rows and G = 2 + 1 tweets.

    =============== ================== ================== ========================================================
    field           run 0              run 1              meaning
    =============== ================== ================== ========================================================
    tweets_RB       [0, 1]             [2, -1]
    ids_RT          [10, 6, 10, 6]     [15, 0, 0, 0]      word 5 of run 0 is row 5 × 2 + 0, word 7 of run 1 is 15
    tweet_starts_RG [0, 3, 4]          [4, 5, 5]          run 1 starts at token slot 4; its second tweet is empty
    postings_RT     [0, 1, 0, 0]       [2, 4, 4, 4]       word 3 is in tweets 0 and 1, word 5 in 0 and 0; 4 is none
    rows_RU         [6, 10, 0]         [15, 0, 0]         words 3 and 5 of run 0, word 7 of run 1; 0 is spare
    row_starts_RU   [0, 2, 4]          [4, 5, 7]          unused token slots go to spare rows
    =============== ================== ================== ========================================================
    """
    steps, runs, width = tweets_KRB.shape
    if texts is None:
        return tweets_KRB.reshape(steps, -1).int(), Sizes(runs, width)
    device, pairs = tweets_KRB.device, steps * runs
    tweets_PB = tweets_KRB.reshape(pairs, width)
    index_PB = tweets_PB.clamp(min=0)
    first_PB = texts.offsets[index_PB]
    lengths_PB = (texts.offsets[index_PB + 1] - first_PB) * (tweets_PB >= 0)
    tokens_P = lengths_PB.sum(1)
    tokens = max(round_up(max(int(tokens_P.max()), 1)), min_sizes[0])

    # Tokens in the order of the tweets: for each slot its tweet, then its token.
    slot_T = torch.arange(tokens, device=device)
    ends_PB = lengths_PB.cumsum(1)
    tweet_PT = torch.searchsorted(ends_PB, slot_T.expand(pairs, -1).contiguous(), right=True)
    used_PT = tweet_PT < width
    tweet_PT.clamp_(max=width - 1)
    source_PT = (first_PB - ends_PB + lengths_PB).gather(1, tweet_PT) + slot_T
    ids = F.pad(texts.ids, (0, 1))  # one more id, for unused slots
    words_PT = ids[source_PT.masked_fill(~used_PT, len(texts.ids))]

    # Tokens in the order of the words; unused slots come last.
    unused = torch.iinfo(torch.int32).max
    sorted_PT, order_PT = words_PT.masked_fill(~used_PT, unused).sort(dim=1, stable=True)
    sorted_used_PT = sorted_PT < unused
    is_first_PT = sorted_used_PT & (torch.diff(sorted_PT, dim=1, prepend=torch.full_like(sorted_PT[:, :1], -1)) != 0)
    rows_P = is_first_PT.sum(1)
    rows = max(round_up(int(rows_P.max()) + tokens // TOKENS_PER_SPARE + 1), min_sizes[1])
    sizes = Sizes(runs, width, tokens, rows)
    row_slot_PT = (is_first_PT.cumsum(1) - 1).masked_fill(~is_first_PT, rows)
    zeros = torch.zeros((pairs, rows + 1), dtype=torch.long, device=device)
    words_PU = zeros.scatter(1, row_slot_PT, sorted_PT.long())[:, :rows]
    # A word's postings end where the next word's start; the last one's end with the tokens.
    starts_PU = zeros.scatter(1, row_slot_PT, slot_T.expand(pairs, -1))[:, :rows]
    slot_U = torch.arange(rows, device=device)
    used_PU = slot_U < rows_P[:, None]
    ends_PU = torch.cat([starts_PU[:, 1:], zeros[:, :1]], dim=1)
    ends_PU = torch.where(slot_U == rows_P[:, None] - 1, tokens_P[:, None], ends_PU)
    postings_PT = tweet_PT.gather(1, order_PT)

    run_P1 = torch.arange(runs, device=device).repeat(steps)[:, None]
    lengths_PG = F.pad(lengths_PB, (0, sizes.bags - width))
    fields = (
        tweets_PB,
        (words_PT * runs + run_P1).masked_fill(~used_PT, 0),
        _starts(lengths_PG, torch.full_like(tokens_P, width), tokens) + run_P1 * tokens,
        (postings_PT + run_P1 * width).masked_fill(~sorted_used_PT, runs * width),
        (words_PU * runs + run_P1).masked_fill(~used_PU, 0),
        _starts((ends_PU - starts_PU) * used_PU, rows_P, tokens) + run_P1 * tokens,
    )
    return torch.cat([field.int().view(steps, -1) for field in fields], dim=1), sizes
