"""The lesson on one text: sections of paragraphs and tables from a trace, for terminal and HTML page."""

import math
from dataclasses import dataclass, field

from pipeline.config.variants import prose_name
from pipeline.prediction.explain.blocks import (
    MAX_ROWS,
    TOP,
    Axis,
    Bar,
    Block,
    Cell,
    HeatMap,
    Paragraph,
    Section,
    Table,
    TokenChips,
    counted,
    enumeration,
    token_label,
    truncated,
)
from pipeline.prediction.explain.lesson_encoder import encoder_section
from pipeline.prediction.explain.lesson_step import step_section
from pipeline.prediction.explain.trace import Trace

MAX_CHIPS = 256


@dataclass(frozen=True)
class Lesson:
    """A title, facts about the model, the prediction, and the sections that explain it."""

    title: str
    facts: list[tuple[str, str]]
    prediction: str
    generated: bool
    sections: list[Section] = field(default_factory=list)


def build_lesson(trace: Trace) -> Lesson:
    """The lesson on a trace."""
    decision = trace.decision
    predicted = trace.label_names[decision.predicted]
    title = f"What happens to “{truncated(trace.text, 200)}”" if trace.text.strip() else "What happens to an empty text"
    name = prose_name(trace.variant)
    variant = name if name == trace.variant else f"{name} ({trace.variant})"
    return Lesson(
        title=title,
        facts=[
            ("run", trace.run),
            ("model", f"{variant}, {trace.encoder.name} encoder"),
            ("labels", enumeration(trace.label_names, MAX_ROWS)),
            *([("data", "GENERATED tweets, made by this project")] if trace.generated else []),
        ],
        prediction=f"{predicted}, with probability {decision.probabilities[decision.predicted]:.4f}",
        generated=trace.generated,
        sections=[
            _shapes(trace),
            _token_ids(trace),
            _word_vectors(trace),
            _one_hot(trace),
            encoder_section(trace),
            _decision(trace),
            *(step_section(trace, step) for step in trace.steps),
        ],
    )


def _shapes(trace: Trace) -> Section:
    features, labels = trace.shapes[-3].shape[1], len(trace.label_names)
    legend = (
        f"T = {len(trace.tokens)} tokens, V = {trace.vocabulary_size:,} words in the vocabulary, D = {trace.dim} "
        f"dimensions of a word vector, F = {features} features, C = {labels} labels. The leading 1 is the batch size: "
        "one text."
    )
    rows: list[list[Cell]] = [["text", "", "", f"{len(trace.text):,} characters"]]
    rows += [[tensor.name, tensor.symbols, _shape(tensor.shape), tensor.computation] for tensor in trace.shapes]
    table = Table(["", "shape", "here", "computed as"], rows)
    return Section("shapes", "The forward pass in shapes", [Paragraph(legend), table])


def _token_ids(trace: Trace) -> Section:
    tokens, unknown = trace.tokens, [token for token in trace.tokens if not token.known]
    cleaning = "The text holds no escapes or HTML entities, so cleaning leaves it unchanged."
    if trace.tokenizer == "course":
        cleaning = "The tokenizer drops links, handles, stop words and punctuation, and stems the words."
    elif trace.cleaned != trace.text:
        cleaning = f"Cleaning decodes escapes and HTML entities: “{truncated(trace.cleaned, 400)}”"
    blocks: list[Block] = [
        Paragraph(cleaning),
        Paragraph(
            f"The tokenizer ‘{trace.tokenizer}’ splits the text into {counted(len(tokens), 'token')}. The vocabulary "
            f"is a list of {trace.vocabulary_size:,} words, and the id of a token is its position in that list. Two "
            "ids are special: 0 is padding, which fills up short texts in a batch; 1 is <unk>, which stands for every "
            "word outside the vocabulary."
        ),
    ]
    if tokens:
        rows: list[list[Cell]] = [
            [str(position), token_label(token.token), f"{token.id}", _occurrences(token.known, token.count)]
            for position, token in enumerate(tokens[:MAX_ROWS], 1)
        ]
        columns = ["", "token", "id", "in the training text"]
        blocks.append(Table(columns, rows, numeric=(0, 2), omitted=len(tokens) - MAX_ROWS))
    if trace.truncated:
        unread = counted(trace.truncated, "further token")
        blocks.append(Paragraph(f"{unread} beyond text.max_tokens={len(tokens)} are not read."))
    if not tokens:
        blocks.append(Paragraph("The text has no tokens, so the following sections work on an empty list of ids."))
    elif unknown:
        words = enumeration(list(dict.fromkeys(token_label(token.token) for token in unknown)), 10)
        blocks.append(
            Paragraph(
                f"Out of vocabulary: {len(unknown)} of {counted(len(tokens), 'token')}, {words}. They all get id 1, "
                "so the classifier cannot tell them apart. Some words in the vocabulary: "
                f"{enumeration(trace.common_words, 8)}."
            )
        )
    else:
        blocks.append(Paragraph("No token is out of vocabulary."))
    return Section("ids", "From text to token ids", blocks)


def _word_vectors(trace: Trace) -> Section:
    title = "Embedding look-up: from ids to word vectors"
    size = trace.vocabulary_size * trace.dim
    text = (
        f"The embedding layer is a matrix with one row of {trace.dim} numbers, the word vector, for each of "
        f"{trace.vocabulary_size:,} words: {size:,} numbers in all. The look-up of id 17 copies row 17. Nothing is "
        "computed, and the other words of the text have no influence: a word has the same vector in every text."
    )
    if trace.variant.endswith("_multichannel"):
        text += (
            f" In this variant a word vector has two channels: the first {trace.dim // 2} numbers are frozen, the "
            "others are trained."
        )
    if trace.variant.endswith("_projected"):
        text += (
            f" In this variant the matrix is frozen, and a learned {trace.dim} × {trace.dim} projection multiplies "
            "each word vector after the look-up."
        )
    blocks: list[Block] = [Paragraph(text)]
    if not trace.tokens:
        return Section("embedding", title, [*blocks, Paragraph("There is no id here, so no vector is looked up.")])
    distinct = list({token.id: token for token in trace.tokens}.values())
    cells: list[list[Cell]] = [
        [
            str(token.id),
            token_label(token.word),
            f"{token.norm:.3f}",
            "–" if token.relative_change is None else f"{token.relative_change:.1%}",
            *(f"{value:+.3f}" for value in token.values[:5]),
        ]
        for token in distinct[:MAX_ROWS]
    ]
    dimensions = [str(dimension + 1) for dimension in range(min(5, trace.dim))]
    columns = ["id", "word", "norm", "change", *dimensions]
    numeric = (0, *range(2, 4 + len(dimensions)))
    blocks.append(Table(columns, cells, numeric=numeric, omitted=len(distinct) - MAX_ROWS, noun="word vector"))
    change = "A word without an occurrence in the labelled training tweets keeps its initial vector: 0.0%."
    if all(token.relative_change == 0 for token in trace.tokens):
        change = "None of these vectors has changed."
    elif trace.variant.endswith("_projected"):
        change = "The projection changes the vectors of all words."
    blocks.append(
        Paragraph(
            "‘norm’ is the L2 norm of the trained vector. ‘change’ is its L2 distance from the initial vector, divided "
            f"by the norm of the initial vector. Columns 1, 2, … hold the first of its {trace.dim} numbers. " + change
        )
    )
    if trace.encoder.name != "mean":  # the encoder section shows them together with their mean
        rows = [(token_label(token.word), token.values) for token in distinct[:MAX_ROWS]]
        blocks.append(HeatMap("The first numbers of each word vector", rows))
    return Section("embedding", title, blocks)


def _one_hot(trace: Trace) -> Section:
    title = "The look-up as a matrix product"
    one_hot = trace.one_hot
    if not trace.tokens:
        return Section("one-hot", title, [Paragraph("There are no ids, so there is nothing to multiply.")])
    same = "exactly the same numbers" if one_hot.largest_difference == 0 else "the same numbers up to rounding"
    rows: list[list[Cell]] = [
        ["look-up", f"{one_hot.product_TD[0]} of {one_hot.matrix_VD[0]:,} rows", "0", f"{one_hot.numbers_copied:,}"],
        ["product", f"{_shape(one_hot.one_hot_TV)} × {_shape(one_hot.matrix_VD)}", f"{one_hot.multiplications:,}", "0"],
    ]
    return Section(
        "one-hot",
        title,
        [
            Paragraph(
                "The one-hot vector of an id has V entries: a one at the position of the id, and zeros. The one-hot "
                "vectors of T tokens form a (T, V) matrix. Its product with the embedding matrix (V, D) has shape "
                "(T, D): an entry of 1 selects a row, and entries of 0 drop the others. Both ways were computed and "
                f"give {same} (largest difference {one_hot.largest_difference:g})."
            ),
            Table(["method", "shapes", "multiplications", "numbers copied"], rows, numeric=(2, 3)),
            Paragraph(
                "An embedding layer is therefore a linear layer without bias on one-hot inputs. The look-up only "
                "skips the multiplications by zero. For the same reason the gradient of every row that was not looked "
                "up is zero."
            ),
        ],
    )


def _decision(trace: Trace) -> Section:
    decision, names = trace.decision, trace.label_names
    first, second = names[decision.predicted], names[decision.runner_up]
    ranked = sorted(range(len(names)), key=lambda label: -decision.logits[label])[:MAX_ROWS]
    rows: list[list[Cell]] = [
        [
            names[label],
            f"{decision.logits[label]:+.3f}",
            f"{decision.probabilities[label]:.4f}",
            Bar(decision.probabilities[label]),
        ]
        for label in ranked
    ]
    blocks: list[Block] = [
        Paragraph(
            "The head is one linear layer: each label has a weight for each feature, and a bias. The logit of a label "
            "is the weighted sum of the features plus the bias. Softmax turns logits into probabilities: the "
            "exponential of each logit, divided by the sum of all exponentials."
        ),
        Table(["label", "logit", "probability", ""], rows, numeric=(1, 2), omitted=len(names) - MAX_ROWS, noun="label"),
        Paragraph(
            f"The margin of {first} over {second} is the difference of their logits, {decision.margin:+.3f}. The "
            "label with the largest logit is predicted."
        ),
        *_contributions(trace, first, second),
    ]
    return Section("decision", "Logits, softmax and the decision", blocks)


def _contributions(trace: Trace, first: str, second: str) -> list[Block]:
    """Each token's part of the margin of `first` over `second`, as paragraph, chips and table."""
    decision = trace.decision
    known = [(position, value) for position, value in enumerate(decision.contributions) if value is not None]
    if not known:
        return [Paragraph("The margin comes from the biases alone: there are no tokens that could contribute.")]
    if decision.exact:
        text = "The contribution of a token is its word vector times the difference of the two labels' weights, over T"
        text += ", plus the same for the maxima that it supplies" if trace.encoder.name == "meanmax" else ""
        text += ". Contributions and bias sum exactly to the margin."
    else:
        text = (
            f"The ‘{trace.encoder.name}’ encoder combines tokens nonlinearly. The contribution of a token is therefore "
            "measured: it is the loss of margin when the token is left out. These need not sum to the margin."
        )
    named = [(token_label(trace.tokens[position].token), value) for position, value in known]
    if len(named) > MAX_ROWS and decision.exact:  # the sum of exact contributions is exact
        named = _summed_by_token(named)
    top = named
    if len(named) > MAX_ROWS:
        strongest = sorted(range(len(named)), key=lambda position: -abs(named[position][1]))[:TOP]
        top = [named[position] for position in sorted(strongest)]
        text += f" The {TOP} strongest of {len(named)}, in text order:"
    others = math.fsum(value for _, value in named) - math.fsum(value for _, value in top)
    lines = list(top)
    if decision.exact:
        lines += [("(other tokens)", others)] if len(top) < len(named) else []
        lines.append(("(bias)", decision.bias))
    largest = max(abs(value) for _, value in lines) or 1.0
    rows: list[list[Cell]] = [[name, f"{value:+.3f}", Bar(value / largest, signed=True)] for name, value in lines]
    if decision.exact:
        rows.append(["= margin", f"{decision.margin:+.3f}", ""])
    columns: list[str | Axis] = ["token", "contribution", Axis(truncated(second, 16), truncated(first, 16))]
    unknown = len(decision.contributions) - len(known)
    note = [Paragraph(f"The last {counted(unknown, 'token')} were not left out one by one.")] if unknown else []
    largest_token = max(abs(value) for _, value in known) or 1.0
    chips = [(token_label(trace.tokens[position].token), value / largest_token) for position, value in known]
    return [
        Paragraph(text),
        TokenChips(f"for {first}", f"for {second}", chips[:MAX_CHIPS]),
        Table(columns, rows, numeric=(1,)),
        *note,
    ]


def _summed_by_token(named: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Contributions summed over equal tokens, in the order of their first occurrence."""
    groups: dict[str, list[float]] = {}
    for name, value in named:
        groups.setdefault(name, []).append(value)
    return [
        (f"{name} ×{len(values)}" if len(values) > 1 else name, math.fsum(values)) for name, values in groups.items()
    ]


def _occurrences(known: bool, count: int) -> str:
    if not known:
        return "out of vocabulary"
    return f"{count:,} times" if count else "never: only in unlabelled text"


def _shape(shape: list[int]) -> str:
    return f"({', '.join(f'{size:,}' for size in shape)})"
