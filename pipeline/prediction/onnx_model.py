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
ATTENTION = "attention"  # the output that holds the weights of the tokens
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
    int64, 0 for an empty text. Outputs: `logits` and `probabilities` (batch, classes) float32;
    of the encoder `bigru` also `attention` (batch, tokens).
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
    value = helper.make_tensor_value_info
    outputs: dict[str, int | str] = dict.fromkeys(("logits", "probabilities"), len(trained.labels))
    if trained.model.encoder == "bigru":
        outputs[ATTENTION] = "tokens"
    onnx_graph = helper.make_graph(
        graph.nodes,
        "tweet_classifier",
        [value("ids", TensorProto.INT64, ["batch", "tokens"]), value("lengths", TensorProto.INT64, ["batch"])],
        [value(name, TensorProto.FLOAT, ["batch", size]) for name, size in outputs.items()],
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


def _gru_inputs(graph: _Graph, trained: TrainedModel, rows_BTE: str, *directions: str) -> list[str]:
    """Inputs of the operator GRU. It needs a text of at least one token."""

    def gates(name: str) -> NDArray[np.float32]:
        # torch orders the gates reset, update, new; ONNX orders them update, reset, new.
        parts = [np.split(trained.layers[f"encoder.gru.{name}_{direction}"], 3) for direction in directions]
        return np.stack([np.concatenate([update, reset, new]) for reset, update, new in parts])

    return [
        graph.add("Transpose", [rows_BTE], perm=[1, 0, 2]),
        graph.constant("gru.input", gates("weight_ih")),
        graph.constant("gru.hidden", gates("weight_hh")),
        graph.constant("gru.bias", np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1)),
        graph.add("Cast", [graph.add("Max", ["lengths", "1"])], to=6),
    ]


def _gru(graph: _Graph, trained: TrainedModel, rows_BTE: str, mask_BT: str) -> str:
    inputs = _gru_inputs(graph, trained, rows_BTE, "l0")
    # linear_before_reset is torch's (and cuDNN's) form of the candidate state. The first output holds all states.
    last_1BF = graph.add("GRU", inputs, "", "last_1BF", hidden_size=trained.model.hidden, linear_before_reset=1)
    last_BF = graph.add("Squeeze", [last_1BF, graph.constant("directions_axis", [0], np.int64)])
    return _zero_where_empty(graph, last_BF)


def _bigru(graph: _Graph, trained: TrainedModel, rows_BTE: str, mask_BT: str) -> str:
    inputs, size = _gru_inputs(graph, trained, rows_BTE, "l0", "l0_reverse"), trained.model.hidden
    states = graph.add("GRU", inputs, direction="bidirectional", hidden_size=size, linear_before_reset=1)
    states_BTRH = graph.add("Transpose", [states], perm=[2, 0, 1, 3])
    states_BTF = graph.add("Reshape", [states_BTRH, graph.constant("joined", [0, 0, -1], np.int64)])
    names = ("attention.weight", "attention.bias", "query.weight")
    weight, bias, query = (graph.constant(name, trained.layers[f"encoder.{name}"].T) for name in names)
    hidden = graph.add("Tanh", [graph.add("Add", [graph.add("MatMul", [states_BTF, weight]), bias])])
    scores_BT = graph.add("Squeeze", [graph.add("MatMul", [hidden, query]), "-1"])
    lowest = graph.constant("lowest", np.finfo(np.float32).min)
    softmax_BT = graph.add("Softmax", [graph.add("Where", [mask_BT, scores_BT, lowest])], axis=1)
    graph.add("Where", [mask_BT, softmax_BT, "0.0"], ATTENTION)
    weighted_BTF = graph.add("Mul", [states_BTF, graph.add("Unsqueeze", [ATTENTION, "-1"])])
    return graph.add("ReduceSum", [weighted_BTF, graph.constant("tokens_axis", [1], np.int64)], keepdims=0)


def _zero_where_empty(graph: _Graph, features_BF: str) -> str:
    empty_B1 = graph.add("Unsqueeze", [graph.add("Equal", ["lengths", "0"]), "-1"])
    return graph.add("Where", [empty_B1, "0.0", features_BF])


_ENCODERS = {"mean": _mean, "meanmax": _meanmax, "cnn": _cnn, "gru": _gru, "bigru": _bigru}


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
            logits_BC[rows] = self._run("logits", [ids[row] for row in rows])
        return logits_BC

    def attention(self, ids: Sequence[int]) -> FloatArray | None:
        """Attention weights (T,) of the tokens."""
        if all(output.name != ATTENTION for output in self.session.get_outputs()):
            return None
        weights_T: FloatArray = self._run(ATTENTION, [ids])[0, : len(ids)]
        return weights_T

    def _run(self, output: str, ids: Ids) -> Any:
        lengths_B = np.array([len(text) for text in ids], np.int64)
        ids_BT = np.zeros((len(ids), max(int(lengths_B.max()), 1)), np.int64)
        for row_T, text in zip(ids_BT, ids, strict=True):
            row_T[: len(text)] = text
        return self.session.run([output], {"ids": ids_BT, "lengths": lengths_B})[0]
