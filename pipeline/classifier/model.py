"""The classifier: an embedding layer, one of four encoders, dropout, one linear layer.

The output for a tweet does not depend on the other tweets of its batch: padded positions are masked in every encoder.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.classifier.batch import Bags
from pipeline.config.schema import PAD, ModelConfig


def dropout(features: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Zero each feature with probability `share` and scale the rest by 1/(1 - share); nothing without a generator.

    torch's own dropout draws from a global generator, which would make a run depend on what ran before it.
    """
    if generator is None or share == 0:
        return features
    kept = torch.rand(features.shape, generator=generator, device=features.device) >= share
    return features * kept / (1 - share)


def look_up(embedding_VD: Tensor, ids_BT: Tensor) -> Tensor:
    """Rows (B, T, D) of the ids; no gradient reaches the PAD row."""
    return F.embedding(ids_BT, embedding_VD, padding_idx=PAD, sparse=embedding_VD.requires_grad)


def mean_rows(matrix_VD: Tensor, bags: Bags) -> Tensor:
    """Mean rows (B, D) of the tweets; zeros for one without tokens. The (B, T, D) tensor of rows is never made."""
    return F.embedding_bag(bags.ids, matrix_VD, bags.starts_B, mode="mean", sparse=matrix_VD.requires_grad)


class Embedding(nn.Module):
    """The embedding layer of a variant: V rows as an encoder reads them, each of E = `dim` dimensions.

    Every reading is linear in the rows, so the second channel and the projection are applied to what was read: to the
    means of a batch, say, and never to all V rows. The PAD row is zero in every variant.

    Parameters
    ----------
    initial_VD : initial rows, on the CPU; row 0 (PAD) must be zero. Only read: trainable rows are a copy.
    trainable : whether the rows get gradients (row-sparse ones).
    multichannel : put a copy of the initial rows that stays before the rows: E = 2 D, else E = D. Kim (2014) lays the
        same filter over both channels and adds the results. Side by side, each channel has weights of its own: that
        holds his sum as a special case, and means something for every encoder.
    projected : multiply what was read with a learned (D, D) matrix that starts as the identity.
    anchored : keep the initial rows for `distance`.
    """

    initial_VD: Tensor

    def __init__(
        self,
        initial_VD: Tensor,
        *,
        trainable: bool = False,
        multichannel: bool = False,
        projected: bool = False,
        anchored: bool = False,
    ) -> None:
        super().__init__()
        if bool(initial_VD[PAD].any()):
            raise ValueError("row 0 of the embedding matrix is padding and must be zero")
        size = initial_VD.shape[1]
        self.multichannel = multichannel
        self.dim = 2 * size if multichannel else size
        # numpy asks for huge pages, where rows at random places are found faster.
        rows_VD = torch.from_numpy(initial_VD.numpy().copy()) if trainable else initial_VD
        self.rows_VD = nn.Parameter(rows_VD, requires_grad=trainable)
        self.register_buffer("initial_VD", initial_VD if multichannel or anchored else None, persistent=False)
        self.projection_DD = nn.Parameter(torch.eye(size)) if projected else None

    def staying(self) -> list[Tensor]:
        """The matrices (V, D) that are read and do not move."""
        if self.multichannel:
            return [self.initial_VD]
        return [] if self.rows_VD.requires_grad else [self.rows_VD]

    def _read(self, reading: Callable[[Tensor], Tensor]) -> Tensor:
        """What `reading` takes from a matrix (V, D), of the layer's rows (V, E)."""
        found = reading(self.rows_VD)
        if self.multichannel:
            found = torch.cat([reading(self.initial_VD), found], dim=-1)
        return found if self.projection_DD is None else found @ self.projection_DD

    def mean(self, bags: Bags) -> Tensor:
        """Mean rows (B, E) of the tweets."""
        return self._read(lambda matrix_VD: mean_rows(matrix_VD, bags))

    def look_up(self, ids_BT: Tensor) -> Tensor:
        """Rows (B, T, E) of the ids."""
        return self._read(lambda matrix_VD: look_up(matrix_VD, ids_BT))

    def matrix(self) -> Tensor:
        """All rows (V, E) as an encoder reads them: a layer that starts from these and stays gives the same output."""
        return self._read(Tensor.detach).detach()

    def distance(self, bags: Bags) -> Tensor:
        """Squared distances of the batch's rows to where they started, their sum divided by the tweets B.

        Each word counts once. Rows of other words are left out, so that the gradient stays row-sparse.
        """
        rows = torch.unique(bags.ids.long())
        moved = F.embedding(rows, self.rows_VD, sparse=self.rows_VD.requires_grad) - self.initial_VD[rows]
        return moved.square().sum() / len(bags.starts_B)


class MeanEncoder(nn.Module):
    """The mean of the rows of a tweet's tokens: F = D. A tweet without tokens gives zeros."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.features = dim

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        return embedding.mean(bags)


class MeanMaxEncoder(nn.Module):
    """Mean and element-wise maximum of the rows, one after the other: F = 2 D."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.features = 2 * dim

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        ids_BT, mask_BT = bags.padded(at_least=1)
        rows_BTD = embedding.look_up(ids_BT)
        mean_BD = rows_BTD.sum(1) / bags.lengths_B.clamp(min=1)[:, None]
        largest_BD = rows_BTD.masked_fill(~mask_BT[:, :, None], -math.inf).amax(1)
        empty_B = bags.lengths_B == 0
        return torch.cat([mean_BD, largest_BD.masked_fill(empty_B[:, None], 0.0)], dim=1)


class CnnEncoder(nn.Module):
    """Convolutions of several widths, ReLU, maximum over time (Kim 2014): F = filters × number of widths.

    Only windows that begin at a real token count; a window may reach into the zero rows behind the last token, so that
    a tweet shorter than a filter still has a feature.
    """

    def __init__(self, dim: int, filters: int, widths: list[int]) -> None:
        super().__init__()
        self.widths = widths
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, filters, width) for width in widths)
        self.features = filters * len(widths)

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        ids_BT, mask_BT = bags.padded(at_least=1)
        rows_BDT = embedding.look_up(ids_BT).transpose(1, 2)
        pooled = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            windows_BFT = F.relu(convolution(F.pad(rows_BDT, (0, width - 1))))
            # ReLU leaves nothing below zero, so zero is a neutral element of the maximum.
            pooled.append(windows_BFT.masked_fill(~mask_BT[:, None, :], 0.0).amax(2))
        return torch.cat(pooled, dim=1)


class GruEncoder(nn.Module):
    """The hidden state of a one-layer GRU (Cho et al. 2014) after a tweet's last token: F = hidden."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(dim, hidden, batch_first=True)
        self.features = hidden

    def states(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Hidden state after every position (B, T, hidden); positions behind the last token are not meaningful."""
        ids_BT, _ = bags.padded(at_least=1)
        states_BTF: Tensor = self.gru(embedding.look_up(ids_BT))[0]
        return states_BTF

    def forward(self, embedding: Embedding, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        states_BTF = self.states(embedding, bags)
        last_B = (bags.lengths_B - 1).clamp(min=0)
        features_BF = states_BTF[torch.arange(len(last_B), device=last_B.device), last_B]
        return features_BF.masked_fill((bags.lengths_B == 0)[:, None], 0.0)


def make_encoder(settings: ModelConfig, dim: int) -> MeanEncoder | MeanMaxEncoder | CnnEncoder | GruEncoder:
    """The encoder that the configuration names."""
    if settings.encoder == "mean":
        return MeanEncoder(dim)
    if settings.encoder == "meanmax":
        return MeanMaxEncoder(dim)
    if settings.encoder == "cnn":
        return CnnEncoder(dim, settings.filters, list(settings.widths))
    return GruEncoder(dim, settings.hidden)


class Classifier(nn.Module):
    """Embedding layer (V, E) → encoder (B, F) → dropout → linear (B, C).

    Parameters
    ----------
    embedding : the layer of the variant.
    settings : encoder and dropout.
    classes : C.
    generator : draws the encoder's and the head's initial weights, uniform in ±1/√fan_in as torch's layers do.
    """

    def __init__(self, embedding: Embedding, settings: ModelConfig, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = make_encoder(settings, embedding.dim)
        self.head = nn.Linear(self.encoder.features, classes)
        self.dropout = settings.dropout
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.GRU):
                    fan_in = module.hidden_size
                elif isinstance(module, nn.Conv1d):
                    fan_in = module.in_channels * module.kernel_size[0]
                elif isinstance(module, nn.Linear):
                    fan_in = module.in_features
                else:
                    continue
                for parameter in module.parameters():
                    parameter.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)

    def forward(self, bags: Bags, generator: torch.Generator | None = None) -> Tensor:
        """Return logits (B, C); with a generator, dropout is on."""
        features_BF = self.encoder(self.embedding, bags)
        logits_BC: Tensor = self.head(dropout(features_BF, self.dropout, generator))
        return logits_BC

    def layers(self) -> dict[str, Tensor]:
        """Encoder and head parameters by name: everything but the embedding layer.

        With the layer's `matrix` they are the whole classifier: a projection is part of that matrix.
        """
        return {name: weight for name, weight in self.named_parameters() if not name.startswith("embedding.")}

    def parameter_counts(self) -> dict[str, float]:
        """`params/…`: how many numbers there are in all, how many are trained, and how many stand in embedding rows.

        Both channels' rows count as embedding; a projection counts among all and trained ones alone.
        """
        rows = self.embedding.rows_VD.numel()
        frozen = rows if self.embedding.multichannel else 0
        return {
            "params/total": float(frozen + sum(weight.numel() for weight in self.parameters())),
            "params/trainable": float(sum(weight.numel() for weight in self.parameters() if weight.requires_grad)),
            "params/embedding": float(frozen + rows),
        }
