"""A walk told as a lesson: sections of words and tables, the same for the terminal and the page."""

import math
from dataclasses import dataclass, field

from pipeline.prediction.explain.blocks import (
    MANY,
    STRONGEST,
    Axis,
    Bar,
    Block,
    Cell,
    Chips,
    Heat,
    Section,
    Table,
    Words,
    counted,
    listed,
    name_of,
    short,
)
from pipeline.prediction.explain.lesson_encoder import encoder_section
from pipeline.prediction.explain.lesson_step import step_section
from pipeline.prediction.explain.trace import Walk

CHIPS = 256


@dataclass(frozen=True)
class Lesson:
    """The whole of it: what is asked, what was answered, and the sections in between."""

    title: str
    facts: list[tuple[str, str]]
    answer: str
    generated: bool
    sections: list[Section] = field(default_factory=list)


def lesson(walk: Walk) -> Lesson:
    """Tell a walk."""
    decision = walk.decision
    predicted = walk.label_names[decision.predicted]
    rows = f"{walk.variant}, {'trained' if walk.steps[0].trainable else 'frozen'} rows"
    return Lesson(
        title=f"What happens to “{short(walk.text, 200)}”"
        if walk.text.strip()
        else "What happens to a text of nothing",
        facts=[
            ("run", walk.run),
            ("model", f"{rows}, {walk.inside.encoder} encoder"),
            ("labels", listed(walk.label_names, MANY)),
            *([("data", "GENERATED tweets, made by this project")] if walk.generated else []),
        ],
        answer=f"{predicted}, with probability {decision.probabilities[decision.predicted]:.4f}",
        generated=walk.generated,
        sections=[
            _way(walk),
            _ids(walk),
            _rows(walk),
            _product(walk),
            encoder_section(walk),
            _decision(walk),
            *(step_section(walk, step) for step in walk.steps),
        ],
    )


def _way(walk: Walk) -> Section:
    features, labels = walk.shapes[-3].shape[1], len(walk.label_names)
    legend = (
        f"T = {len(walk.tokens)} tokens, V = {walk.vocabulary:,} words in the vocabulary, D = {walk.dim} numbers in a "
        f"row, F = {features} features, C = {labels} labels. The 1 in front is the batch: one text."
    )
    rows: list[list[Cell]] = [["text", "", "", f"{len(walk.text):,} characters"]]
    rows += [[shape.name, shape.symbols, _shape(shape.shape), shape.how] for shape in walk.shapes]
    return Section("way", "The whole way, in shapes", [Words(legend), Table(["", "shape", "here", "how"], rows)])


def _ids(walk: Walk) -> Section:
    tokens, unknown = walk.tokens, [token for token in walk.tokens if not token.known]
    blocks: list[Block] = []
    if walk.tokenizer == "course":
        blocks.append(
            Words("Links, handles, stop words and punctuation are dropped, and words are cut to their stems.")
        )
    elif walk.cleaned != walk.text:
        blocks.append(Words(f"Escapes and HTML entities are undone: “{short(walk.cleaned, 400)}”"))
    else:
        blocks.append(Words("There are no escapes or HTML entities to undo, so the text stays as it is."))
    blocks.append(
        Words(
            f"The tokenizer ‘{walk.tokenizer}’ cuts it into {counted(len(tokens), 'token')}. The vocabulary is a list "
            f"of {walk.vocabulary:,} words; each token becomes its place in that list, its id. Ids 0 and 1 are no "
            "words: 0 is padding, which fills short texts of a batch, and 1 stands for every unknown word, <unk>."
        )
    )
    if tokens:
        rows: list[list[Cell]] = [
            [str(place), name_of(token.token), f"{token.id}", _seen(token.known, token.count)]
            for place, token in enumerate(tokens[:MANY], 1)
        ]
        blocks.append(Table(["", "token", "id", "in the training text"], rows, numeric=(0, 2), more=len(tokens) - MANY))
    if walk.cut:
        blocks.append(Words(f"{counted(walk.cut, 'further token')} beyond text.max_tokens={len(tokens)} are not read."))
    if not tokens:
        blocks.append(Words("No token is left: what follows happens to an empty list of ids."))
    elif unknown:
        words = listed(list(dict.fromkeys(name_of(token.token) for token in unknown)), 10)
        blocks.append(
            Words(
                f"Out of vocabulary: {len(unknown)} of {counted(len(tokens), 'token')}, {words}. All of them get id 1, "
                "so from here on the classifier cannot tell one from another. Words it does know: "
                f"{listed(walk.common_words, 8)}."
            )
        )
    else:
        blocks.append(Words("No token is out of vocabulary."))
    return Section("ids", "From text to ids", blocks)


def _rows(walk: Walk) -> Section:
    size = walk.vocabulary * walk.dim
    told = (
        f"The embedding layer is a table: one row of {walk.dim} numbers for each of {walk.vocabulary:,} words, "
        f"{size:,} numbers in all. Looking up id 17 takes row 17. Nothing is computed, and the other words of the "
        "text play no part: the same word gives the same row in every text."
    )
    if walk.variant.endswith("_multichannel"):
        told += f" Here each row has two channels: the first {walk.dim // 2} numbers stay, the others are trained."
    if walk.variant.endswith("_projected"):
        told += f" Here the rows stay, and a learned {walk.dim} × {walk.dim} matrix is multiplied with what was read."
    blocks: list[Block] = [Words(told)]
    if not walk.tokens:
        return Section("rows", "Taking the rows", [*blocks, Words("Here there is no id, so no row is taken.")])
    distinct = list({token.id: token for token in walk.tokens}.values())
    cells: list[list[Cell]] = [
        [
            str(token.id),
            name_of(token.row),
            f"{token.norm:.3f}",
            "–" if token.moved is None else f"{token.moved:.1%}",
            *(f"{value:+.3f}" for value in token.values[:5]),
        ]
        for token in distinct[:MANY]
    ]
    first = [str(place + 1) for place in range(min(5, walk.dim))]
    columns = ["id", "row of", "length", "moved", *first]
    numeric = (0, *range(2, 4 + len(first)))
    blocks.append(Table(columns, cells, numeric=numeric, more=len(distinct) - MANY, omitted="row"))
    frozen = all(token.moved == 0 for token in walk.tokens)
    blocks.append(
        Words(
            "‘length’ is √(sum of squares); ‘moved’ is how far training has carried the row from where it started, as "
            f"a share of its length there; 1, 2, … are the first of its {walk.dim} numbers. "
            + (
                "No row here has moved: they stand as they started."
                if frozen
                else "A word that no training text had stands where it started: 0.0%."
            )
        )
    )
    if walk.inside.encoder != "mean":  # which shows them above their mean
        lines = [(name_of(token.row), token.values) for token in distinct[:MANY]]
        blocks.append(Heat("The first numbers of each row", lines))
    return Section("rows", "Taking the rows", blocks)


def _product(walk: Walk) -> Section:
    one = walk.one_hot
    if not walk.tokens:
        return Section("one-hot", "The same as a matrix product", [Words("With no ids there is nothing to multiply.")])
    same = "exactly the same numbers" if one.largest_difference == 0 else "the same numbers up to rounding"
    rows: list[list[Cell]] = [
        ["lookup", f"{one.matrix_VD[0]:,} rows, take {one.product_TD[0]}", "0", f"{one.numbers_copied:,}"],
        ["product", f"{_shape(one.one_hot_TV)} × {_shape(one.matrix_VD)}", f"{one.multiplications:,}", "0"],
    ]
    return Section(
        "one-hot",
        "The same as a matrix product",
        [
            Words(
                "Write an id as a one-hot row: V zeros, but a one in the place of the id. The T tokens give a (T, V) "
                "matrix, and this times the table (V, D) gives (T, D): a one picks a row, the zeros drop the others. "
                f"Both ways were computed: {same} (largest difference {one.largest_difference:g})."
            ),
            Table(["way", "shapes", "multiplications", "numbers copied"], rows, numeric=(2, 3)),
            Words(
                "So an embedding layer is a linear layer without bias, whose inputs are one-hot; the lookup only "
                "leaves out multiplications by zero. For the same reason the gradient of every row that was not "
                "looked up is zero."
            ),
        ],
    )


def _decision(walk: Walk) -> Section:
    decision, names = walk.decision, walk.label_names
    first, second = names[decision.predicted], names[decision.runner_up]
    ranked = sorted(range(len(names)), key=lambda label: -decision.logits[label])[:MANY]
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
        Words(
            "The head is one linear layer: each label has a weight for each feature and a bias, and its logit is the "
            "weighted sum. Softmax turns logits into probabilities: e to the power of each, divided by their sum."
        ),
        Table(["label", "logit", "probability", ""], rows, numeric=(1, 2), more=len(names) - MANY),
        Words(
            f"The decision is the lead of {first} over {second}: the difference of their logits, {decision.lead:+.3f}."
        ),
        *_shares(walk, first, second),
    ]
    return Section("decision", "The decision", blocks)


def _shares(walk: Walk, first: str, second: str) -> list[Block]:
    decision = walk.decision
    tried = [(place, share) for place, share in enumerate(decision.shares) if share is not None]
    if not tried:
        return [Words("It comes from the biases alone: there is no word to have a share in it.")]
    if decision.exact:
        how = (
            "Its shares are exact: each token's row, times the difference of the two labels' weights, divided by T"
            + (", and the same for the maxima it gave" if walk.inside.encoder == "meanmax" else "")
            + ". Shares and bias sum to the lead."
        )
    else:
        how = (
            f"With the ‘{walk.inside.encoder}’ encoder words act together, so a share is measured instead: how much of "
            "the lead goes when the token is left out. These need not sum to the lead."
        )
    named = [(name_of(walk.tokens[place].token), share) for place, share in tried]
    if len(tried) > MANY and decision.exact:  # sums of exact shares are exact
        named = _summed(named)
    shown = named
    if len(named) > MANY:
        strongest = sorted(range(len(named)), key=lambda place: -abs(named[place][1]))[:STRONGEST]
        shown = [named[place] for place in sorted(strongest)]
        how += f" The {STRONGEST} strongest of {len(named)}, in the order of the text:"
    others = math.fsum(share for _, share in named) - math.fsum(share for _, share in shown)
    lines = list(shown)
    if decision.exact:
        lines += [("(the others)", others)] if len(shown) < len(named) else []
        lines.append(("(bias)", decision.bias))
    largest = max(abs(share) for _, share in lines) or 1.0
    rows: list[list[Cell]] = [[name, f"{share:+.3f}", Bar(share / largest, signed=True)] for name, share in lines]
    if decision.exact:
        rows.append(["= lead", f"{decision.lead:+.3f}", ""])
    table = Table(["token", "share", Axis(short(second, 16), short(first, 16))], rows, numeric=(1,))
    untried = len(decision.shares) - len(tried)
    rest = [Words(f"The last {counted(untried, 'token')} were not left out one by one.")] if untried else []
    darkest = max(abs(share) for _, share in tried) or 1.0
    chips = [(name_of(walk.tokens[place].token), share / darkest) for place, share in tried[:CHIPS]]
    return [Words(how), Chips(f"for {first}", f"for {second}", chips), table, *rest]


def _summed(named: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The shares of equal tokens taken together, in the order of their first place."""
    groups: dict[str, list[float]] = {}
    for name, share in named:
        groups.setdefault(name, []).append(share)
    return [(f"{name} ×{len(parts)}" if len(parts) > 1 else name, math.fsum(parts)) for name, parts in groups.items()]


def _seen(known: bool, count: int) -> str:
    if not known:
        return "not a word of the vocabulary"
    return f"{count:,} times" if count else "never: known from unlabelled text"


def _shape(shape: list[int]) -> str:
    return f"({', '.join(f'{size:,}' for size in shape)})"
