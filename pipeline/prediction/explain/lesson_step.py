"""The lesson's last part: one training step, told."""

import math

from pipeline.prediction.explain.blocks import MANY, Block, Cell, Section, Table, Words, counted, listed, name_of
from pipeline.prediction.explain.trace import Walk
from pipeline.prediction.explain.training_step import Step


def step_section(walk: Walk, step: Step) -> Section:
    """Tell one step: what it was to learn, which rows moved, which did not."""
    label = walk.label_names[step.label]
    if step.own:
        title = "One training step, as this run takes them"
        key = "step"
    else:
        title = f"The same step with {'trainable' if step.trainable else 'frozen'} rows"
        key = "contrast"
    blocks: list[Block] = [Words(_task(walk, step, label))] if step.own else []
    blocks += [Words(text) for text in (_rows_told(walk, step), _clipped(step)) if text]
    if step.trainable and step.rows:
        blocks.append(_row_table(step))
        blocks.append(Words(_sizes(walk, step)))
    blocks.append(Words(_untouched(walk, step)))
    layers: list[list[Cell]] = [
        [layer.name, "×".join(map(str, layer.shape)), f"{layer.moved:.4f}", _share(layer.relative)]
        for layer in step.layers
    ]
    blocks.append(Table(["other weights", "shape", "moved", "of its length"], layers, numeric=(2, 3)))
    direction = (
        "down" if step.loss_after < step.loss_before else "up" if step.loss_after > step.loss_before else "still"
    )
    blocks.append(
        Words(
            f"After the step the loss is {step.loss_after:.4f} (before: {step.loss_before:.4f}, so it went "
            f"{direction}), and P({label}) is {step.probability_after:.4f} (before: {step.probability_before:.4f})."
        )
    )
    return Section(key, title, blocks)


def _task(walk: Walk, step: Step, label: str) -> str:
    wrong = step.label != walk.decision.predicted
    aim = "which it did not predict" if wrong else "which it predicted"
    rates = f"{step.lr_head:g} for encoder and head"
    if step.trainable:
        rates = f"{step.lr_embedding:g} for rows and {rates}"
    return (
        f"Suppose the text came with the label {label}, {aim}. The loss is −ln P({label}) = {step.loss_before:.4f}. "
        "Its gradient says for every number in the model which way the loss falls; Adam then moves each number that "
        f"way. The learning rates are the run's: {rates}. Two things differ from training: the text is a batch of its "
        "own, without dropout, and Adam starts anew, as no record keeps what it remembered."
    )


def _rows_told(walk: Walk, step: Step) -> str:
    if not step.rows:
        return "The text has no tokens, so no row can move: of all weights, only biases learn."
    again = "" if step.own else "From the same weights again, with the same label. "
    if not step.trainable:
        told = (
            again + "The rows are frozen: they get no gradient, are not given to the optimizer, and stay as they are."
        )
        if step.own and any(layer.name == "embedding.projection_DD" for layer in step.layers):
            told += (
                " But the matrix that they are multiplied with moves, and with it every word as the encoder reads it."
            )
        else:
            told += " Only what stands above them learns."
        return told
    encoders = {
        "mean": "Each row of the text gets the same gradient, 1/T of what the mean gets: the label cannot say which "
        "word it was about. A word that stands twice gets it twice.",
        "meanmax": "Each row gets 1/T of what the mean gets, and the tokens that gave maxima get those gradients too.",
        "cnn": "Only windows that won a maximum pass a gradient on. A token in none of them gets zero.",
        "gru": "The gradient flows back from the last state through every token, and differs from row to row.",
    }
    return again + encoders[walk.inside.encoder]


def _clipped(step: Step) -> str:
    if step.clip_norm is None or step.gradient_norm <= step.clip_norm:
        return ""
    return (
        f"All gradients together have length {step.gradient_norm:.3f}. That is above train.clip_norm={step.clip_norm:g}"
        ", so they are scaled down to it."
    )


def _row_table(step: Step) -> Table:
    rows: list[list[Cell]] = [
        [
            str(row.id),
            name_of(row.row),
            str(row.times),
            "–" if row.gradient is None else f"{row.gradient:.4f}",
            f"{row.moved:.4f}",
            _share(row.relative),
        ]
        for row in step.rows[:MANY]
    ]
    columns = ["id", "row of", "times", "gradient", "moved", "of its length"]
    return Table(columns, rows, numeric=(0, 2, 3, 4, 5), more=len(step.rows) - MANY, omitted="row")


def _sizes(walk: Walk, step: Step) -> str:
    dim = walk.dim // 2 if step.own and walk.variant.endswith("multichannel") else walk.dim
    length = step.lr_embedding * math.sqrt(dim)
    told = (
        "‘gradient’ and ‘moved’ are lengths. A first step of Adam moves each number by the learning rate, however "
        f"large its gradient: a whole row moves at most {step.lr_embedding:g} × √{dim} = {length:.4f}."
    )
    shared = next((row for row in step.rows if len(row.words) > 1), None)
    if shared is not None:
        words = listed([name_of(word) for word in shared.words], 5)
        told += f" {words} share one row: what one of them learns, all of them get."
    return told


def _untouched(walk: Walk, step: Step) -> str:
    moved = "No row" if not step.rows_moved else counted(step.rows_moved, "row")
    told = f"{moved} moved. {counted(step.rows_unmoved, 'row')} did not: equal bit for bit before and after"
    if step.unmoved_read and step.trainable:
        told += f", {counted(step.unmoved_read, 'row')} of this text among them"
    told += ". The padding row is still zero." if step.pad_is_zero else ". The padding row is NOT zero any more."
    if step.own and step.read_moved != step.rows_moved:
        told += f" As the encoder reads them, {step.read_moved:,} of {walk.vocabulary:,} words have moved."
    return told


def _share(relative: float | None) -> str:
    return "–" if relative is None else f"{relative:.2%}"
