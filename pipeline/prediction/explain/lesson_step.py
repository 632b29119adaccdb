"""The lesson's sections on one training step: cross-entropy, gradients, and the updates of vectors and weights."""

import math

from pipeline.prediction.explain.blocks import (
    MAX_ROWS,
    Block,
    Cell,
    Paragraph,
    Section,
    Table,
    counted,
    enumeration,
    token_label,
)
from pipeline.prediction.explain.trace import Trace
from pipeline.prediction.explain.training_step import TrainingStep


def step_section(trace: Trace, step: TrainingStep) -> Section:
    """One training step: its loss, its gradients, and which word vectors and weights it changes."""
    label = trace.label_names[step.label]
    key, title = "step", "One training step with the settings of this run"
    if not step.as_trained:
        key, title = "contrast", f"The same step with {'trainable' if step.trainable else 'frozen'} word vectors"
    blocks: list[Block] = [Paragraph(_loss_and_optimizer(trace, step, label))] if step.as_trained else []
    blocks += [Paragraph(text) for text in (_gradients(trace, step), _clipping(step)) if text]
    if step.trainable and step.rows:
        blocks.append(_row_table(step))
        blocks.append(Paragraph(_update_size(trace, step)))
    blocks.append(Paragraph(_changed_vectors(trace, step)))
    layers: list[list[Cell]] = [
        [layer.name, "×".join(map(str, layer.shape)), f"{layer.change:.4f}", _percent(layer.relative_change)]
        for layer in step.layers
    ]
    blocks.append(Table(["other parameters", "shape", "change", "relative"], layers, numeric=(2, 3)))
    direction = "did not change"
    if step.loss_after != step.loss_before:
        direction = "fell" if step.loss_after < step.loss_before else "rose"
    blocks.append(
        Paragraph(
            f"After the step the loss is {step.loss_after:.4f} (before: {step.loss_before:.4f}, so it {direction}), "
            f"and P({label}) is {step.probability_after:.4f} (before: {step.probability_before:.4f})."
        )
    )
    return Section(key, title, blocks)


def _loss_and_optimizer(trace: Trace, step: TrainingStep, label: str) -> str:
    correct = "predicted" if step.label == trace.decision.predicted else "did not predict"
    rates = f"{step.lr_head:g} for encoder and head"
    if step.trainable:
        rates = f"{step.lr_embedding:g} for word vectors and {rates}"
    return (
        f"Suppose the true label is {label}, which the classifier {correct}. The cross-entropy loss is −ln P({label}) "
        f"= {step.loss_before:.4f}. Backpropagation computes its gradient for every trainable parameter. The optimizer "
        f"Adam then changes each parameter against its gradient. The learning rates are those of the run: {rates}. "
        "The step differs from training in three ways: the batch is this one text, there is no dropout, and Adam's "
        "moments start at zero, because a record does not keep them."
    )


def _gradients(trace: Trace, step: TrainingStep) -> str:
    if not step.rows:
        return "The text has no tokens, so no word vector gets a gradient. Only biases are updated."
    restart = "" if step.as_trained else "The step starts from the same weights, with the same label. "
    if not step.trainable:
        text = restart + "The word vectors are frozen: they get no gradient, and the optimizer does not hold them."
        if step.as_trained and any(layer.name == "embedding.projection_DD" for layer in step.layers):
            return text + " The projection matrix is updated, and with it every word vector that the encoder reads."
        return text + " Only the layers above them are updated."
    encoders = {
        "mean": "The vector of each token gets the same gradient, 1/T of the gradient of the mean: the label does not "
        "tell which word it refers to. A word that occurs twice gets it twice.",
        "meanmax": "The vector of each token gets 1/T of the gradient of the mean. A token that supplies a maximum "
        "also gets the gradient of that maximum.",
        "cnn": "Only windows that hold a filter's maximum pass a gradient back. A token outside them gets a gradient "
        "of zero.",
        "gru": "The gradient flows back from the last state through all tokens (backpropagation through time) and "
        "differs between tokens.",
    }
    return restart + encoders[trace.encoder.name]


def _clipping(step: TrainingStep) -> str:
    if step.clip_norm is None or step.gradient_norm <= step.clip_norm:
        return ""
    return (
        f"The norm of all gradients together is {step.gradient_norm:.3f}. It exceeds train.clip_norm="
        f"{step.clip_norm:g}, so the gradients are scaled down to that norm (gradient clipping)."
    )


def _row_table(step: TrainingStep) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row.id),
            token_label(row.word),
            str(row.count),
            "–" if row.gradient_norm is None else f"{row.gradient_norm:.4f}",
            f"{row.change:.4f}",
            _percent(row.relative_change),
        ]
        for row in step.rows[:MAX_ROWS]
    ]
    columns = ["id", "word", "count", "gradient norm", "change", "relative"]
    return Table(columns, rows, numeric=(0, 2, 3, 4, 5), omitted=len(step.rows) - MAX_ROWS, noun="word vector")


def _update_size(trace: Trace, step: TrainingStep) -> str:
    dim = trace.dim // 2 if step.as_trained and trace.variant.endswith("multichannel") else trace.dim
    largest = step.lr_embedding * math.sqrt(dim)
    text = (
        "‘change’ is the L2 norm of the update, ‘relative’ the same divided by the norm of the vector. The first step "
        "of Adam changes each number by the learning rate, however large its gradient is. A word vector therefore "
        f"changes by at most {step.lr_embedding:g} × √{dim} = {largest:.4f}."
    )
    shared = next((row for row in step.rows if len(row.tokens) > 1), None)
    if shared is not None:
        tokens = enumeration([token_label(token) for token in shared.tokens], 5)
        text += f" {tokens} share one word vector, so an update for one of them applies to all."
    return text


def _changed_vectors(trace: Trace, step: TrainingStep) -> str:
    if step.rows_changed:
        text = f"{counted(step.rows_changed, 'word vector')} changed. The other {step.rows_unchanged:,} are bit-equal"
        text += " before and after"
        if step.read_rows_unchanged and step.trainable:
            text += f", {counted(step.read_rows_unchanged, 'vector')} of this text among them"
    else:
        text = f"No word vector changed: all {step.rows_unchanged:,} are bit-equal before and after"
    text += ". The padding vector is still zero." if step.pad_is_zero else ". The padding vector is NOT zero any more."
    if step.as_trained and step.encoder_rows_changed != step.rows_changed:
        text += f" As the encoder reads them, {step.encoder_rows_changed:,} of {trace.vocabulary_size:,} changed."
    return text


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2%}"
