"""The classifier: an embedding layer, one of four encoders, dropout, one linear layer.

The output for a tweet does not depend on the other tweets of its batch: padded positions are masked in every encoder.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.classifier.texts import Bags
from pipeline.schema import PAD, ModelConfig


def dropout(features: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Zero each feature with probability `share` and scale the rest by 1/(1 - share); nothing without a generator.

    torch's own dropout draws from a global generator, which would make a run depend on what ran before it.
    """
    if generator is None or share == 0:
        return features
    kept = torch.rand(features.shape, generator=generator, device=features.device) >= share
    return features * kept / (1 - share)


class MeanEncoder(nn.Module):
    """The mean of the rows of a tweet's tokens: F = D. A tweet without tokens gives zeros."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.features = dim

    def forward(self, embedding_VD: Tensor, bags: Bags) -> Tensor:
        """Return features (B, F). The (B, T, D) tensor of rows is never made."""
        return F.embedding_bag(bags.ids, embedding_VD, bags.starts_B, mode="mean", sparse=embedding_VD.requires_grad)


def look_up(embedding_VD: Tensor, ids_BT: Tensor) -> Tensor:
    """Rows (B, T, D) of the ids; no gradient reaches the PAD row."""
    return F.embedding(ids_BT, embedding_VD, padding_idx=PAD, sparse=embedding_VD.requires_grad)


class MeanMaxEncoder(nn.Module):
    """Mean and element-wise maximum of the rows, one after the other: F = 2 D."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.features = 2 * dim

    def forward(self, embedding_VD: Tensor, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        ids_BT, mask_BT = bags.padded(at_least=1)
        rows_BTD = look_up(embedding_VD, ids_BT)
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

    def forward(self, embedding_VD: Tensor, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        ids_BT, mask_BT = bags.padded(at_least=1)
        rows_BDT = look_up(embedding_VD, ids_BT).transpose(1, 2)
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

    def states(self, embedding_VD: Tensor, bags: Bags) -> Tensor:
        """Hidden state after every position (B, T, hidden); positions behind the last token are not meaningful."""
        ids_BT, _ = bags.padded(at_least=1)
        states_BTF: Tensor = self.gru(look_up(embedding_VD, ids_BT))[0]
        return states_BTF

    def forward(self, embedding_VD: Tensor, bags: Bags) -> Tensor:
        """Return features (B, F)."""
        states_BTF = self.states(embedding_VD, bags)
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
    """Embedding matrix (V, D) → encoder (B, F) → dropout → linear (B, C).

    Parameters
    ----------
    embedding_VD : initial rows; row 0 (PAD) must be zero. Copied.
    trainable : whether the rows get gradients (row-sparse ones).
    settings : encoder and dropout.
    classes : C.
    generator : draws the encoder's and the head's initial weights, uniform in ±1/√fan_in as torch's layers do.
    """

    def __init__(
        self, embedding_VD: Tensor, trainable: bool, settings: ModelConfig, classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        if bool(embedding_VD[PAD].any()):
            raise ValueError("row 0 of the embedding matrix is padding and must be zero")
        self.embedding = nn.Parameter(embedding_VD.clone(), requires_grad=trainable)
        self.encoder = make_encoder(settings, embedding_VD.shape[1])
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
        """Encoder and head parameters by name: everything but the embedding matrix."""
        return {name: parameter for name, parameter in self.named_parameters() if name != "embedding"}
