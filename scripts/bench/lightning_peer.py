"""The same classifier as a user would otherwise write it: a LightningModule, a DataLoader, Adam over all rows."""

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
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # which announces devices and products in every run
logging.getLogger("lightning_fabric").setLevel(logging.ERROR)


class Tweets(Dataset[tuple[Tensor, Tensor]]):
    """Token ids and label of each tweet of a split, or of some of its rows."""

    def __init__(self, texts: Texts, rows: list[int]) -> None:
        ends = texts.offsets.tolist()
        self.items = [(texts.ids[ends[row] : ends[row + 1]], texts.labels_N[row]) for row in rows]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.items[index]


def collate(items: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch as nn.EmbeddingBag wants it: ids of all tweets, where each begins, labels."""
    ids, labels = zip(*items, strict=True)
    lengths = torch.tensor([0, *map(len, ids[:-1])])
    return torch.cat(ids), lengths.cumsum(0), torch.stack(labels)


class MeanClassifier(lightning.LightningModule):
    """Mean of the tweet's rows, dropout, linear layer."""

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
        """Accuracy, averaged over tweets."""
        ids, offsets, labels = batch
        right = (self(ids, offsets).argmax(1) == labels).float().mean()
        self.log("accuracy", right, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        """Dense Adam."""
        rates = ((self.embedding, self.run.train.lr_embedding), (self.head, self.run.train.lr_head))
        groups = [{"params": list(part.parameters()), "lr": rate} for part, rate in rates]
        return torch.optim.Adam(groups)


def train(task: Task, run: Run) -> float:
    """Train one run for its `max_epochs`, on as many threads as torch has now; returns accuracy on the test split."""
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
        warnings.simplefilter("ignore")  # advice on loader workers, which would cost more here than they save
        trainer.fit(model, DataLoader(train_tweets, run.train.batch_size, shuffle=True, collate_fn=collate))
        (scores,) = trainer.test(model, DataLoader(test_tweets, EVALUATION_BATCH, collate_fn=collate), verbose=False)
    return float(scores["accuracy"])
