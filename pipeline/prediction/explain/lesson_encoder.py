"""The lesson's part on the encoder: from rows to features, told for each of the four."""

from pipeline.prediction.explain.blocks import (
    MANY,
    STRONGEST,
    Bar,
    Block,
    Cell,
    Heat,
    Section,
    Table,
    Words,
    counted,
    name_of,
)
from pipeline.prediction.explain.trace import Walk

NUMBERS = 8  # of the feature vector, written out


def encoder_section(walk: Walk) -> Section:
    """Tell how the rows became features, and what can be seen of it with this encoder."""
    inside, tokens = walk.inside, walk.tokens
    title = "From rows to one vector of features"
    if not tokens:
        words = Words("There are no rows to put together, so every feature is zero: only the biases are left.")
        return Section("encoder", title, [words])
    blocks: list[Block] = []
    if inside.encoder == "mean":
        blocks.append(
            Words(
                f"The ‘mean’ encoder adds the {counted(len(tokens), 'row')} up, number by number, and divides by T. "
                "Order is lost: a text is a bag of words. The program does lookup and mean in one go (embedding_bag) "
                f"and never makes the (1, T, D) rows; the largest difference is {inside.fused_difference:.1g}."
            )
        )
    elif inside.encoder == "meanmax":
        assert inside.maxima is not None
        blocks.append(
            Words(
                f"The ‘meanmax’ encoder takes the mean of the rows and, for each of the {walk.dim} numbers, the "
                "largest value of any token, side by side. How many of the maxima each token gave:"
            )
        )
        most = max(inside.maxima)
        given: list[list[Cell]] = [
            [name_of(token.token), str(count), Bar(count / most)]
            for token, count in list(zip(tokens, inside.maxima, strict=True))[:MANY]
        ]
        blocks.append(Table(["token", "maxima", ""], given, numeric=(1,), more=len(tokens) - MANY))
    elif inside.encoder == "cnn":
        blocks += _windows(walk)
    else:
        blocks += _states(walk)
    features = ", ".join(f"{value:+.3f}" for value in inside.features[:NUMBERS])
    ends = ", …" if walk.shapes[-3].shape[1] > NUMBERS else ""
    blocks.append(Words(f"The feature vector has length {inside.feature_norm:.3f}: [{features}{ends}]."))
    rows = [(name_of(token.token), token.values) for token in tokens[:MANY]] if inside.encoder == "mean" else []
    caption = "The first numbers of each row, and of their mean" if rows else "The first numbers of the features"
    blocks.append(Heat(caption, [*rows, ("features", inside.features)]))
    return Section("encoder", title, blocks)


def _windows(walk: Walk) -> list[Block]:
    windows, silent = walk.inside.windows or [], walk.inside.silent or 0
    features = walk.shapes[-3].shape[1]
    told = (
        "The ‘cnn’ encoder lays small filters over neighbouring tokens. Each filter keeps only its largest value in "
        "the text (and zero where that is negative: ReLU), so most windows leave no trace. "
        f"{features - silent} of {features} filters found something; {silent} are silent. The windows with most "
        "maxima:"
    )
    ranked = sorted(windows, key=lambda window: -window.maxima)[:STRONGEST]
    most = max((window.maxima for window in ranked), default=1)
    rows: list[list[Cell]] = []
    for window in ranked:
        inside = walk.tokens[window.start : window.start + window.width]
        padding = ["·"] * (window.width - len(inside))
        text = " ".join([*(name_of(token.token) for token in inside), *padding])
        rows.append([str(window.width), text, str(window.maxima), f"{window.share:+.3f}", Bar(window.maxima / most)])
    leads = (
        f"‘·’ is the zero row behind the last token. ‘share’ is what the window adds to the lead of "
        f"{walk.label_names[walk.decision.predicted]} (see the decision): all windows and the bias sum to it."
    )
    table = Table(
        ["width", "window", "maxima", "share", ""],
        rows,
        numeric=(0, 2, 3),
        more=len(windows) - STRONGEST,
        omitted="window",
    )
    return [Words(told), table, Words(leads)]


def _states(walk: Walk) -> list[Block]:
    states = walk.inside.states or []
    predicted = walk.decision.predicted
    rows: list[list[Cell]] = [
        [
            name_of(state.token),
            f"{state.norm:.3f}",
            *(f"{value:+.3f}" for value in state.values[:3]),
            f"{state.probabilities[predicted]:.3f}",
            Bar(state.probabilities[predicted]),
        ]
        for state in states[:MANY]
    ]
    columns = ["after", "length", "1", "2", "3", "P", ""]
    return [
        Words(
            f"The ‘gru’ encoder reads left to right. After each token it has a hidden state of "
            f"{walk.shapes[-3].shape[1]} numbers, made from the state before and the token's row; the last one is the "
            f"features. ‘P’ is the probability of {walk.label_names[predicted]} if the text ended there:"
        ),
        Table(columns, rows, numeric=(1, 2, 3, 4, 5), more=len(states) - MANY),
        Heat("The first numbers of each state", [(name_of(state.token), state.values) for state in states[:MANY]]),
    ]
