"""PyTorch back end: the classifier as it was trained, rebuilt from the weights of a record."""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.classifier.batch import Bags
from pipeline.classifier.model import BiGruEncoder, Classifier, Embedding
from pipeline.prediction.predictor import FloatArray, Ids, Predictor, Scorer, length_batches
from pipeline.prediction.trained_model import TrainedModel
from pipeline.runtime.errors import UserError, one_line


class TorchModel(Scorer):
    """Encoder and head over a fixed embedding matrix, which includes the projection or all tables of a variant.

    Raises UserError if the weights do not fit the run's configuration.
    """

    def __init__(self, trained: TrainedModel) -> None:
        embedding_VE = torch.from_numpy(np.ascontiguousarray(trained.embedding_VE, np.float32))
        layers = {name: torch.from_numpy(np.array(weights, np.float32)) for name, weights in trained.layers.items()}
        self.classes = len(trained.labels)
        self.additive = trained.model.encoder == "mean"
        try:
            # The generator only initializes weights that load_state_dict replaces.
            self.model = Classifier(Embedding(embedding_VE), trained.model, self.classes, torch.Generator())
            self.model.load_state_dict({"embedding.rows_VD": embedding_VE, **layers})
        except (RuntimeError, ValueError) as error:
            message = f"{trained.name}: the weights do not fit the configuration ({one_line(error)})"
            raise UserError(message) from error

    def logits(self, ids: Ids) -> FloatArray:
        """Logits (B, C)."""
        logits_BC = np.zeros((len(ids), self.classes), np.float32)
        with torch.inference_mode():
            for rows in length_batches(ids):
                logits_BC[rows] = self.model(bags([ids[row] for row in rows])).numpy()
        return logits_BC

    def token_scores(self, ids: Sequence[int]) -> tuple[FloatArray, FloatArray] | None:
        """Word vectors times head weights, for the mean encoder."""
        if not self.additive:
            return None
        rows_TE = self.model.embedding.rows_VD.detach()[torch.tensor(ids, dtype=torch.int64)]
        head = self.model.head
        return (rows_TE @ head.weight.detach().T).numpy(), head.bias.detach().numpy()

    def attention(self, ids: Sequence[int]) -> FloatArray | None:
        """Attention weights (T,) of the tokens, for the encoder `bigru`."""
        if not isinstance(self.model.encoder, BiGruEncoder):
            return None
        with torch.inference_mode():
            weights_BT = self.model.encoder.attend(self.model.embedding, bags([ids]))[1]
        return weights_BT[0, : len(ids)].numpy()


def bags(ids: Ids) -> Bags:
    """Texts as one batch of token ids."""
    lengths_B = torch.tensor([len(text) for text in ids], dtype=torch.int64)
    flat = torch.tensor([id for text in ids for id in text], dtype=torch.int32)
    return Bags(flat, lengths_B.cumsum(0) - lengths_B, lengths_B)


def torch_predictor(trained: TrainedModel) -> Predictor:
    """The predictor of a trained model by PyTorch."""
    return Predictor(trained.labels, trained.text, trained.words, TorchModel(trained))
