"""The `mean` classifier as a PyTorch Lightning loop: a LightningModule, a DataLoader, dense Adam."""

import logging
import warnings
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from pipeline.classifier.batch import Texts
from pipeline.classifier.engine import Run, Task

EVALUATION_BATCH = 1024
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # it logs devices and products in every run
logging.getLogger("lightning_fabric").setLevel(logging.ERROR)


class Tweets(Dataset[tuple[Tensor, Tensor]]):
    """Token ids and label of the tweets `rows` of a split."""

    def __init__(self, texts: Texts, rows: list[int]) -> None:
        offsets = texts.offsets.tolist()
        self.items = [(texts.ids[offsets[row] : offsets[row + 1]], texts.labels_N[row]) for row in rows]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.items[index]


def collate(items: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch for nn.EmbeddingBag: ids of all tweets, the offset of each tweet, labels."""
    ids, labels = zip(*items, strict=True)
    lengths = torch.tensor([0, *map(len, ids[:-1])])
    return torch.cat(ids), lengths.cumsum(0), torch.stack(labels)


class MeanClassifier(lightning.LightningModule):
    """Mean of the tweet's word vectors, dropout, linear layer."""

    def __init__(self, run: Run, classes: int) -> None:
        super().__init__()
        self.run = run
        self.embedding = nn.EmbeddingBag.from_pretrained(
            torch.from_numpy(run.embedding_VD.copy()), freeze=not run.embedding.trainable, mode="mean", padding_idx=0
        )
        self.dropout = nn.Dropout(run.model.dropout)
        self.head = nn.Linear(run.embedding_VD.shape[1], classes)

    def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.head(self.dropout(self.embedding(ids, offsets)))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], number: int) -> Tensor:
        """Cross-entropy."""
        ids, offsets, labels = batch
        return F.cross_entropy(self(ids, offsets), labels)

    def test_step(self, batch: tuple[Tensor, Tensor, Tensor], number: int) -> None:
        """Log the accuracy, averaged over tweets."""
        ids, offsets, labels = batch
        accuracy = (self(ids, offsets).argmax(1) == labels).float().mean()
        self.log("accuracy", accuracy, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        """Dense Adam."""
        layers = ((self.embedding, self.run.train.lr_embedding), (self.head, self.run.train.lr_head))
        groups = [{"params": list(layer.parameters()), "lr": lr} for layer, lr in layers]
        return torch.optim.Adam(groups)


def train(task: Task, run: Run) -> float:
    """Train one run for its `max_epochs` with torch's current number of threads; returns test accuracy."""
    assert task.test is not None
    lightning.seed_everything(run.seed, verbose=False)
    train_tweets = Tweets(task.train, run.rows_N.tolist())
    test_tweets = Tweets(task.test, list(range(len(task.test))))
    model = MeanClassifier(run, task.classes)
    trainer = lightning.Trainer(
        max_epochs=run.train.max_epochs,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice to use loader workers, which would be slower here
        trainer.fit(model, DataLoader(train_tweets, run.train.batch_size, shuffle=True, collate_fn=collate))
        (scores,) = trainer.test(model, DataLoader(test_tweets, EVALUATION_BATCH, collate_fn=collate), verbose=False)
    return float(scores["accuracy"])
