"""The classifier: embedding layer, encoder (`mean`, `meanmax`, `cnn`, `gru`, `bigru`), dropout, linear layer.

The output for a tweet does not depend on the other tweets of its batch: every encoder masks padded positions.

Suffixes of array names are shapes, here and in the other modules of this folder:
B tweets of a batch, T tokens of a tweet, E dimensions that the encoder reads (all tables side by side), D those of one
matrix, F features of the encoder, C classes, V vocabulary, N tweets of a split, U distinct rows that a batch reads,
K steps.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pipeline.classifier.batch import Bags
from pipeline.classifier.fast.gru import gru_states
from pipeline.config.schema import PAD, ModelConfig


def dropout(features: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Zero each feature with probability `rate` and scale the others by 1 / (1 - rate); a no-op without a generator.

    torch's own dropout uses a global generator, which would make a run depend on earlier ones.
    """
    if generator is None or rate == 0:
        return features
    mask = torch.rand(features.shape, generator=generator, device=features.device) >= rate
    return features * mask / (1 - rate)


def mean_rows(matrix_VD: Tensor, bags: Bags) -> Tensor:
    """Mean rows (B, D) of the tweets, zeros for one without tokens; the (B, T, D) tensor is never allocated."""
    return F.embedding_bag(bags.ids, matrix_VD, bags.starts_B, mode="mean", sparse=matrix_VD.requires_grad)


class Embedding(nn.Module):
    """The embedding layer of a variant: a matrix of V rows, which an encoder reads with E = `dim` dimensions.

    All lookups are linear in the rows. A frozen matrix beside the trainable one and the projection are therefore
    applied to their results, such as the means of a batch, and never to all V rows. The PAD row is zero in every
    variant.

    Parameters
    ----------
    initial_VE : initial matrix, on the CPU: the tables side by side; row 0 (PAD) must be zero. Read-only: a trainable
        layer copies it.
    trainable : whether rows get (row-sparse) gradients.
    frozen_dim : dimensions that stay frozen in a trainable layer, the first ones: those of the frozen tables. Of two
        channels of the same vectors, Kim (2014) adds what one filter gives for each. Here every table has weights of
        its own. That includes his sum as a special case, and is defined for every encoder.
    projected : multiply lookups with a trained (E, E) matrix that starts as the identity.
    anchored : keep the initial rows of the trainable matrix for `anchor_penalty`.
    """

    frozen_VD: Tensor
    initial_VD: Tensor

    def __init__(
        self,
        initial_VE: Tensor,
        *,
        trainable: bool = False,
        frozen_dim: int = 0,
        projected: bool = False,
        anchored: bool = False,
    ) -> None:
        super().__init__()
        if bool(initial_VE[PAD].any()):
            raise ValueError("row 0 of the embedding matrix is padding and must be zero")
        self.dim = initial_VE.shape[1]
        initial_VD = initial_VE[:, frozen_dim:]
        # A copy by numpy, which asks for huge pages: random access to rows is faster there.
        rows_VD = torch.from_numpy(initial_VD.numpy().copy()) if trainable else initial_VE
        self.rows_VD = nn.Parameter(rows_VD, requires_grad=trainable)
        beside_VD = initial_VE[:, :frozen_dim].contiguous() if trainable and frozen_dim else None
        self.register_buffer("frozen_VD", beside_VD, persistent=False)
        self.register_buffer("initial_VD", initial_VD if anchored else None, persistent=False)
        self.projection_DD = nn.Parameter(torch.eye(self.dim)) if projected else None

    def frozen_matrices(self) -> list[Tensor]:
        """The matrices (V, D) that are read and not trained: at most one."""
        if self.frozen_VD is not None:
            return [self.frozen_VD]
        return [] if self.rows_VD.requires_grad else [self.rows_VD]

    def _combine(self, lookup: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply `lookup` to the frozen and to the trainable matrix, concatenate the results and project them."""
        result = lookup(self.rows_VD)
        if self.frozen_VD is not None:
            result = torch.cat([lookup(self.frozen_VD), result], dim=-1)
        return result if self.projection_DD is None else result @ self.projection_DD

    def mean(self, bags: Bags) -> Tensor:
        """Mean rows (B, E) of the tweets."""
        return self._combine(lambda matrix_VD: mean_rows(matrix_VD, bags))

    def look_up(self, ids_BT: Tensor) -> Tensor:
        """Rows (B, T, E) of the ids; the PAD row gets no gradient."""
        return self._combine(lambda rows_VD: F.embedding(ids_BT, rows_VD, PAD, sparse=rows_VD.requires_grad))

    def matrix(self) -> Tensor:
        """The embedding matrix (V, E) as an encoder reads it: a frozen layer of it gives the same output."""
        return self._combine(Tensor.detach).detach()

    def anchor_penalty(self, bags: Bags) -> Tensor:
        """Sum over the distinct words of the batch of the squared distance to their initial rows, divided by B.

        The rows of all other words are left out, so that the gradient stays row-sparse.
        """
        ids = torch.unique(bags.ids.long())
        change = F.embedding(ids, self.rows_VD, sparse=self.rows_VD.requires_grad) - self.initial_VD[ids]
        return change.square().sum() / len(bags.starts_B)


class MeanEncoder(nn.Module):
    """The mean of the rows of a tweet's tokens: F = E. A tweet without tokens gives zeros."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.features = dim

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        return embedding.mean(bags)


class MeanMaxEncoder(nn.Module):
    """Mean and element-wise maximum of the rows, concatenated: F = 2 E."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.features = 2 * dim

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        ids_BT, mask_BT = bags.padded()
        rows_BTE = embedding.look_up(ids_BT)
        mean_BE = rows_BTE.sum(1) / bags.lengths_B.clamp(min=1)[:, None]
        maximum_BE = rows_BTE.masked_fill(~mask_BT[:, :, None], -math.inf).amax(1)
        empty_B = bags.lengths_B == 0
        return torch.cat([mean_BE, maximum_BE.masked_fill(empty_B[:, None], 0.0)], dim=1)


class CnnEncoder(nn.Module):
    """Convolutions of several widths, ReLU, maximum over time (Kim 2014): F = filters × number of widths.

    Only windows that start at a real token count. A window may extend into the zero rows after the last token, so that
    a tweet shorter than a filter still has a feature.
    """

    def __init__(self, dim: int, filters: int, widths: list[int]) -> None:
        super().__init__()
        self.widths = widths
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, filters, width) for width in widths)
        self.features = filters * len(widths)

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        ids_BT, mask_BT = bags.padded()
        rows_BET = embedding.look_up(ids_BT).transpose(1, 2)
        pooled = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            windows_BFT = F.relu(convolution(F.pad(rows_BET, (0, width - 1))))
            # After ReLU zero is the neutral element of the maximum.
            pooled.append(windows_BFT.masked_fill(~mask_BT[:, None, :], 0.0).amax(2))
        return torch.cat(pooled, dim=1)


class GruEncoder(nn.Module):
    """The hidden state of a one-layer GRU (Cho et al. 2014) after a tweet's last token: F = hidden."""

    def __init__(self, dim: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.gru = nn.GRU(dim, hidden, batch_first=True, bidirectional=bidirectional)
        self.features = hidden

    def states(self, embedding: Embedding, bags: Bags) -> tuple[Tensor, Tensor]:
        """States (N, directions × hidden) at all tokens of the batch, and the index (B, T) of each token's state.

        The index is 0 at padding. A tweet without tokens is read as one of padding, so that every batch has gradients.
        """
        ids_BT, _ = bags.padded()
        lengths_B = bags.lengths_B.clamp(min=1).cpu()
        ids = pack_padded_sequence(ids_BT, lengths_B, batch_first=True, enforce_sorted=False)
        states_NF = gru_states(self.gru, ids._replace(data=embedding.look_up(ids.data))).data
        index = ids._replace(data=torch.arange(len(states_NF), device=states_NF.device))
        return states_NF, pad_packed_sequence(index, batch_first=True)[0]

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        states_NF, index_BT = self.states(embedding, bags)
        last_B = (bags.lengths_B - 1).clamp(min=0)
        features_BF = states_NF.index_select(0, index_BT.gather(1, last_B[:, None])[:, 0])
        return features_BF.masked_fill((bags.lengths_B == 0)[:, None], 0.0)


class BiGruEncoder(GruEncoder):
    """Mean of the states of a bidirectional GRU, weighted by attention: F = 2 hidden.

    The weights are the softmax, over a tweet's tokens, of q · tanh(W state + b) with a trained query q: the additive
    attention (Bahdanau et al. 2015) of one sentence (Yang et al. 2016).
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__(dim, hidden, bidirectional=True)
        self.features = 2 * hidden
        self.attention = nn.Linear(2 * hidden, hidden)
        self.query = nn.Linear(hidden, 1, bias=False)

    def attend(self, embedding: Embedding, bags: Bags) -> tuple[Tensor, Tensor]:
        """Features (B, F), and the weights (B, T) of the tokens: their sum is 1, or 0 for a tweet without tokens."""
        states_NF, index_BT = self.states(embedding, bags)
        scores_BT = self.query(torch.tanh(self.attention(states_NF)))[:, 0][index_BT]
        mask_BT = bags.padded()[1]
        weights_BT = scores_BT.masked_fill(~mask_BT, torch.finfo(scores_BT.dtype).min).softmax(1) * mask_BT
        states_BTF = states_NF.index_select(0, index_BT.flatten()).view(*index_BT.shape, -1)
        return (weights_BT[:, None] @ states_BTF)[:, 0], weights_BT

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F): zeros for a tweet without tokens."""
        return self.attend(embedding, bags)[0]


def make_encoder(settings: ModelConfig, dim: int) -> MeanEncoder | MeanMaxEncoder | CnnEncoder | GruEncoder:
    """The encoder that the configuration names."""
    if settings.encoder == "mean":
        return MeanEncoder(dim)
    if settings.encoder == "meanmax":
        return MeanMaxEncoder(dim)
    if settings.encoder == "cnn":
        return CnnEncoder(dim, settings.filters, list(settings.widths))
    return GruEncoder(dim, settings.hidden) if settings.encoder == "gru" else BiGruEncoder(dim, settings.hidden)


class Classifier(nn.Module):
    """Embedding layer (V, E) → encoder (B, F) → dropout → linear (B, C).

    `generator` draws the initial weights of encoder and head, uniform in ±1/√fan_in as in torch's layers.
    """

    def __init__(self, embedding: Embedding, settings: ModelConfig, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = make_encoder(settings, embedding.dim)
        self.head = nn.Linear(self.encoder.features, classes)
        self.dropout = settings.dropout
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.GRU | nn.Conv1d | nn.Linear):
                    fan_in = module.hidden_size if isinstance(module, nn.GRU) else module.weight[0].numel()
                    for parameter in module.parameters():
                        parameter.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)

    def forward(self, bags: Bags, generator: torch.Generator | None = None) -> Tensor:
        """Return logits (B, C); with a generator, dropout is on."""
        features_BF = self.encoder(self.embedding, bags)
        logits_BC: Tensor = self.head(dropout(features_BF, self.dropout, generator))
        return logits_BC

    def layers(self) -> dict[str, Tensor]:
        """Parameters of encoder and head by name. With the embedding layer's `matrix` they are the whole classifier."""
        return {name: weight for name, weight in self.named_parameters() if not name.startswith("embedding.")}

    def parameter_counts(self) -> dict[str, float]:
        """`params/…`: numbers of all parameters, of trained ones, and of those in the embedding matrix.

        All tables count as embedding; a projection counts as total and trainable only.
        """
        rows = self.embedding.rows_VD.numel()
        frozen = 0 if self.embedding.frozen_VD is None else self.embedding.frozen_VD.numel()
        return {
            "params/total": float(frozen + sum(weight.numel() for weight in self.parameters())),
            "params/trainable": float(sum(weight.numel() for weight in self.parameters() if weight.requires_grad)),
            "params/embedding": float(frozen + rows),
        }
