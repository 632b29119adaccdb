"""The batches of many runs at once, as tables of fixed size.

Shapes: `K` steps, `R` runs, `B` tweets of a run's batch, `T` places for a run's tokens, `S` places for the rows its
batch touches, `G` places for its tweets (B and some more, that take up the unused token places).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.classifier.batch import Texts

SPARE = 32  # one spare place for so many tokens: no spare bag is then much longer than a real one


@dataclass(frozen=True)
class Sizes:
    """The fixed sizes of one step; T = S = 0 where no rows move."""

    runs: int
    tweets: int
    tokens: int = 0
    rows: int = 0

    @property
    def bags(self) -> int:
        """Places G for tweets."""
        return self.tweets + self.tokens // SPARE + 1 if self.tokens else 0

    @property
    def parts(self) -> tuple[int, ...]:
        """Places per run of each part of a `Batch`, in its order."""
        return (self.tweets, self.tokens, self.bags, self.tokens, self.rows, self.rows)


@dataclass(frozen=True)
class Batch:
    """One step of all runs: int32 views of one buffer, so that one copy fills them all.

    tweets_RB : rows of the training split, -1 where a run has fewer; ids_RT : flat row numbers word × R + run;
    starts_RG : where each tweet's tokens begin in all R × T; members_RT : for the tokens in order of their words, the
    tweet (run × B + place) they stand in, R × B for none; rows_RS : the flat row number of each word, once; begins_RS :
    where each word's members begin. Flat row 0 is a spare one, zero for good: unused places point to it.
    """

    tweets_RB: Tensor
    ids_RT: Tensor
    starts_RG: Tensor
    members_RT: Tensor
    rows_RS: Tensor
    begins_RS: Tensor

    @classmethod
    def of(cls, buffer: Tensor, sizes: Sizes) -> "Batch":
        """The parts of a buffer."""
        parts = torch.split(buffer, [sizes.runs * places for places in sizes.parts])
        return cls(*(part.view(sizes.runs, places) for part, places in zip(parts, sizes.parts, strict=True)))


def room(needed: int) -> int:
    """`needed` rounded up by at most an eighth, so that few different sizes occur."""
    grain = 1 << max(needed.bit_length() - 4, 0)
    return -(-needed // grain) * grain


def _offsets(lengths_NG: Tensor, used_N: Tensor, places: int, limit: int) -> Tensor:
    """Starts of bags of these lengths; of `places`, those from `used_N` on share what is left up to `limit` evenly.

    The CUDA kernel of `embedding_bag` lets the last bag run to the end of all ids, one element after another: a single
    long bag of unused places would hold up the step.
    """
    ends_NG = lengths_NG.cumsum(1)
    place_G = torch.arange(places, device=lengths_NG.device)[None]
    total_N1, used_N1 = ends_NG[:, -1:], used_N[:, None]
    share_N1 = (limit - total_N1 + places - used_N1 - 1).div(places - used_N1, rounding_mode="floor")
    spare_NG = (total_N1 + (place_G - used_N1) * share_N1).clamp(max=limit)
    return torch.where(place_G < used_N1, ends_NG - lengths_NG, spare_NG)


def plan_batches(tweets_KRB: Tensor, texts: Texts | None, least: tuple[int, int] = (0, 0)) -> tuple[Tensor, Sizes]:
    """Buffers (K, …) of K steps and their sizes. `texts` is the training split where rows move, else None.

    The ids of `texts` count from 1. There are places for at least as many tokens and rows as `least` says, so that few
    different sizes occur. Waits for the device twice: sizes follow from the tweets.
    """
    steps, runs, width = tweets_KRB.shape
    if texts is None:
        return tweets_KRB.reshape(steps, -1).int(), Sizes(runs, width)
    device, cells = tweets_KRB.device, steps * runs
    tweets_NB = tweets_KRB.reshape(cells, width)
    known_NB = tweets_NB.clamp(min=0)
    first_NB = texts.offsets[known_NB]
    lengths_NB = (texts.offsets[known_NB + 1] - first_NB) * (tweets_NB >= 0)
    tokens_N = lengths_NB.sum(1)
    tokens = max(room(max(int(tokens_N.max()), 1)), least[0])

    # Tokens in order of tweets; every place of a cell (one run at one step) finds its tweet, then its token.
    place_T = torch.arange(tokens, device=device)
    ends_NB = lengths_NB.cumsum(1)
    tweet_NT = torch.searchsorted(ends_NB, place_T.expand(cells, -1).contiguous(), right=True)
    real_NT = tweet_NT < width
    tweet_NT.clamp_(max=width - 1)
    source_NT = (first_NB - ends_NB + lengths_NB).gather(1, tweet_NT) + place_T
    ids = torch.nn.functional.pad(texts.ids, (0, 1))  # one more, to read in unused places
    words_NT = ids[source_NT.masked_fill(~real_NT, len(texts.ids))]

    # Tokens in order of words; unused places come last.
    end = torch.iinfo(torch.int32).max
    sorted_NT, order_NT = words_NT.masked_fill(~real_NT, end).sort(dim=1, stable=True)
    real_sorted_NT = sorted_NT < end
    new_NT = real_sorted_NT & (torch.diff(sorted_NT, dim=1, prepend=torch.full_like(sorted_NT[:, :1], -1)) != 0)
    rows_N = new_NT.sum(1)
    rows = max(room(int(rows_N.max()) + tokens // SPARE + 1), least[1])
    sizes = Sizes(runs, width, tokens, rows)
    slot_NT = (new_NT.cumsum(1) - 1).masked_fill(~new_NT, rows)
    spare = torch.zeros((cells, rows + 1), dtype=torch.long, device=device)
    words_NS = spare.scatter(1, slot_NT, sorted_NT.long())[:, :rows]
    # A word's members end where the next word's begin, the last one's where the tokens end.
    begins_NS = spare.scatter(1, slot_NT, place_T.expand(cells, -1))[:, :rows]
    used_NS = torch.arange(rows, device=device) < rows_N[:, None]
    ends_NS = torch.cat([begins_NS[:, 1:], spare[:, :1]], dim=1)
    ends_NS = torch.where(torch.arange(rows, device=device) == rows_N[:, None] - 1, tokens_N[:, None], ends_NS)
    members_NT = tweet_NT.gather(1, order_NT)

    run_N1 = torch.arange(runs, device=device).repeat(steps)[:, None]
    parts = (
        tweets_NB,
        (words_NT * runs + run_N1).masked_fill(~real_NT, 0),
        _offsets(
            torch.nn.functional.pad(lengths_NB, (0, sizes.bags - width)),
            torch.full_like(tokens_N, width),
            sizes.bags,
            tokens,
        )
        + run_N1 * tokens,
        (members_NT + run_N1 * width).masked_fill(~real_sorted_NT, runs * width),
        (words_NS * runs + run_N1).masked_fill(~used_NS, 0),
        _offsets((ends_NS - begins_NS) * used_NS, rows_N, rows, tokens) + run_N1 * tokens,
    )
    return torch.cat([part.int().view(steps, -1) for part in parts], dim=1), sizes
