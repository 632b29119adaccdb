"""ONNX back end: export a classifier as an ONNX graph, and run it with onnxruntime.

The graph is built node by node with the ONNX operators of each encoder. Tracing would need example lengths, would
unroll the GRU, and cannot follow the variable-length look-ups of the training code.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.prediction.predictor import FloatArray, Ids, Scorer, length_batches
from pipeline.prediction.trained_model import TrainedModel
from pipeline.runtime.errors import UserError

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8  # of ONNX 1.12, the first with opset 17: runtimes since 2022 read it
MISSING = "needs the packages onnx and onnxruntime: pip install 'tweet-embeddings[onnx]'"


class _Graph:
    """Nodes and constants of a graph under construction. Each method returns the name of its last output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, values: Any, dtype: Any = np.float32) -> str:
        self.constants[name] = np.ascontiguousarray(values, dtype)
        return name

    def add(self, operator: str, inputs: Sequence[str], *names: str, **attributes: Any) -> str:
        from onnx import helper

        names = names or (f"{operator.lower()}_{len(self.nodes)}",)
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[-1]


def build_graph(trained: TrainedModel) -> "onnx.ModelProto":
    """Build the ONNX graph of a trained model.

    Inputs: `ids` (batch, tokens) int64, padded with 0 at the end of a text, at least one column; `lengths` (batch,)
    int64, 0 for an empty text. Outputs: `logits` and `probabilities` (batch, classes) float32.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise UserError(f"--format onnx {MISSING}") from error
    graph = _Graph()
    zero, one, last = (graph.constant(name, value, np.int64) for name, value in (("0", 0), ("1", 1), ("-1", [-1])))
    columns = graph.add("Gather", [graph.add("Shape", ["ids"]), one])
    positions = graph.add("Range", [zero, columns, one])
    mask_BT = graph.add("Less", [positions, graph.add("Unsqueeze", ["lengths", last])])
    lookup_BTE = graph.add("Gather", [graph.constant("embedding", trained.embedding_VE), "ids"])
    mask_BT1 = graph.add("Unsqueeze", [mask_BT, last])
    rows_BTE = graph.add("Where", [mask_BT1, lookup_BTE, graph.constant("0.0", 0.0)])
    features_BF = _ENCODERS[trained.model.encoder](graph, trained, rows_BTE, mask_BT)
    head = [graph.constant(f"head.{name}", trained.layers[f"head.{name}"]) for name in ("weight", "bias")]
    graph.add("Gemm", [features_BF, *head], "logits", transB=1)
    graph.add("Softmax", ["logits"], "probabilities", axis=1)
    value, classes = helper.make_tensor_value_info, len(trained.labels)
    onnx_graph = helper.make_graph(
        graph.nodes,
        "tweet_classifier",
        [value("ids", TensorProto.INT64, ["batch", "tokens"]), value("lengths", TensorProto.INT64, ["batch"])],
        [value(name, TensorProto.FLOAT, ["batch", classes]) for name in ("logits", "probabilities")],
        [numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
    )
    model = helper.make_model(
        onnx_graph, producer_name="pipeline", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    helper.set_model_props(model, {"run": trained.name, "labels": "\n".join(trained.labels)})
    onnx.checker.check_model(model, full_check=True)
    return model


def _mean(graph: _Graph, trained: TrainedModel, rows_BTE: str, mask_BT: str) -> str:
    total_BE = graph.add("ReduceSum", [rows_BTE, graph.constant("tokens_axis", [1], np.int64)], keepdims=0)
    count_B1 = graph.add("Unsqueeze", [graph.add("Max", ["lengths", "1"]), "-1"])
    return graph.add("Div", [total_BE, graph.add("Cast", [count_B1], to=1)])


def _meanmax(graph: _Graph, trained: TrainedModel, rows_BTE: str, mask_BT: str) -> str:
    lowest = graph.constant("lowest", -math.inf)
    mask_BT1 = graph.add("Unsqueeze", [mask_BT, "-1"])
    largest_BE = graph.add("ReduceMax", [graph.add("Where", [mask_BT1, rows_BTE, lowest])], axes=[1], keepdims=0)
    mean_BE = _mean(graph, trained, rows_BTE, mask_BT)
    return graph.add("Concat", [mean_BE, _zero_where_empty(graph, largest_BE)], axis=1)


def _cnn(graph: _Graph, trained: TrainedModel, rows_BTE: str, mask_BT: str) -> str:
    rows_BET = graph.add("Transpose", [rows_BTE], perm=[0, 2, 1])
    mask_B1T = graph.add("Unsqueeze", [mask_BT, graph.constant("filters_axis", [1], np.int64)])
    pooled = []
    for index, width in enumerate(trained.model.widths):
        prefix = f"encoder.convolutions.{index}"
        weights = [graph.constant(name, trained.layers[name]) for name in (f"{prefix}.weight", f"{prefix}.bias")]
        convolved_BFT = graph.add("Conv", [rows_BET, *weights], kernel_shape=[width], pads=[0, width - 1])
        masked_BFT = graph.add("Where", [mask_B1T, graph.add("Relu", [convolved_BFT]), "0.0"])
        pooled.append(graph.add("ReduceMax", [masked_BFT], axes=[2], keepdims=0))
    return graph.add("Concat", pooled, axis=1)


def _gru(graph: _Graph, trained: TrainedModel, rows_BTE: str, mask_BT: str) -> str:
    def gates(name: str) -> NDArray[np.float32]:
        # torch orders the gates reset, update, new; ONNX orders them update, reset, new.
        reset, update, new = np.split(trained.layers[f"encoder.gru.{name}_l0"], 3)
        return np.concatenate([update, reset, new])

    inputs = [
        graph.add("Transpose", [rows_BTE], perm=[1, 0, 2]),
        graph.constant("gru.input", gates("weight_ih")[None]),
        graph.constant("gru.hidden", gates("weight_hh")[None]),
        graph.constant("gru.bias", np.concatenate([gates("bias_ih"), gates("bias_hh")])[None]),
        graph.add("Cast", [graph.add("Max", ["lengths", "1"])], to=6),
    ]
    # linear_before_reset is torch's (and cuDNN's) form of the candidate state. The first output holds all states.
    last_1BF = graph.add("GRU", inputs, "", "last_1BF", hidden_size=trained.model.hidden, linear_before_reset=1)
    last_BF = graph.add("Squeeze", [last_1BF, graph.constant("directions_axis", [0], np.int64)])
    return _zero_where_empty(graph, last_BF)


def _zero_where_empty(graph: _Graph, features_BF: str) -> str:
    empty_B1 = graph.add("Unsqueeze", [graph.add("Equal", ["lengths", "0"]), "-1"])
    return graph.add("Where", [empty_B1, "0.0", features_BF])


_ENCODERS = {"mean": _mean, "meanmax": _meanmax, "cnn": _cnn, "gru": _gru}


class OnnxModel(Scorer):
    """Runs an ONNX graph in onnxruntime on the CPU."""

    def __init__(self, model: bytes, classes: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"an ONNX model {MISSING}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.classes = classes

    def logits(self, ids: Ids) -> FloatArray:
        """Logits (B, C)."""
        logits_BC = np.zeros((len(ids), self.classes), np.float32)
        for rows in length_batches(ids):
            lengths_B = np.array([len(ids[row]) for row in rows], np.int64)
            ids_BT = np.zeros((len(rows), max(int(lengths_B.max()), 1)), np.int64)
            for position, row in enumerate(rows):
                ids_BT[position, : lengths_B[position]] = ids[row]
            (logits_BC[rows],) = self.session.run(["logits"], {"ids": ids_BT, "lengths": lengths_B})
        return logits_BC
