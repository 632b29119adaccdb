"""The lesson's section on the encoder: how mean, meanmax, CNN and GRU pool word vectors into one feature vector."""

from pipeline.prediction.explain.blocks import (
    MAX_ROWS,
    TOP,
    Bar,
    Block,
    Cell,
    HeatMap,
    Paragraph,
    Section,
    Table,
    counted,
    token_label,
)
from pipeline.prediction.explain.trace import Trace

MAX_FEATURES = 8  # numbers of the feature vector in the text


def encoder_section(trace: Trace) -> Section:
    """How the encoder computes the features from the word vectors."""
    encoder, tokens = trace.encoder, trace.tokens
    title = "The encoder: from word vectors to one feature vector"
    if not tokens:
        text = "There are no word vectors to pool, so every feature is zero and only the biases remain."
        return Section("encoder", title, [Paragraph(text)])
    blocks: list[Block] = []
    if encoder.name == "mean":
        blocks.append(
            Paragraph(
                f"The ‘mean’ encoder averages the {counted(len(tokens), 'word vector')} in each dimension: their sum "
                "divided by T. Word order is lost: the text is a bag of words. The program looks up and averages in "
                "one operation (embedding_bag) and never stores the (1, T, D) word vectors. The largest difference "
                f"between the two ways is {encoder.fused_difference:.1g}."
            )
        )
    elif encoder.name == "meanmax":
        assert encoder.maxima is not None
        blocks.append(
            Paragraph(
                "The ‘meanmax’ encoder concatenates two poolings of the word vectors: the mean and, in each of the "
                f"{trace.dim} dimensions, the maximum over the tokens. Number of maxima from each token:"
            )
        )
        most = max(encoder.maxima)
        cells: list[list[Cell]] = [
            [token_label(token.token), str(count), Bar(count / most)]
            for token, count in list(zip(tokens, encoder.maxima, strict=True))[:MAX_ROWS]
        ]
        blocks.append(Table(["token", "maxima", ""], cells, numeric=(1,), omitted=len(tokens) - MAX_ROWS))
    elif encoder.name == "cnn":
        blocks += _windows(trace)
    else:
        blocks += _states(trace)
    features = ", ".join(f"{value:+.3f}" for value in encoder.features[:MAX_FEATURES])
    ellipsis = ", …" if trace.shapes[-3].shape[1] > MAX_FEATURES else ""
    blocks.append(Paragraph(f"The feature vector has norm {encoder.feature_norm:.3f}: [{features}{ellipsis}]."))
    caption, rows = "The first features", [("features", encoder.features)]
    if encoder.name == "mean":
        caption = "The first numbers of each word vector, and of their mean"
        rows = [*((token_label(token.token), token.values) for token in tokens[:MAX_ROWS]), *rows]
    blocks.append(HeatMap(caption, rows))
    return Section("encoder", title, blocks)


def _windows(trace: Trace) -> list[Block]:
    windows, inactive = trace.encoder.windows or [], trace.encoder.inactive_filters or 0
    features = trace.shapes[-3].shape[1]
    text = (
        "The ‘cnn’ encoder applies filters to windows of neighbouring tokens. Max pooling keeps the largest value of "
        "each filter in the text (zero where it is negative: ReLU), so most windows have no effect. "
        f"{features - inactive} of {features} filters have a positive maximum; {inactive} are inactive. The windows "
        "with most maxima:"
    )
    ranked = sorted(windows, key=lambda window: -window.maxima)[:TOP]
    most = max((window.maxima for window in ranked), default=1)
    rows: list[list[Cell]] = []
    for window in ranked:
        tokens = trace.tokens[window.start : window.start + window.width]
        padding = ["·"] * (window.width - len(tokens))
        label = " ".join([*(token_label(token.token) for token in tokens), *padding])
        contribution = f"{window.contribution:+.3f}"
        rows.append([str(window.width), label, str(window.maxima), contribution, Bar(window.maxima / most)])
    columns = ["width", "window", "maxima", "contribution", ""]
    note = (
        "‘·’ is the zero vector of padding after the last token. ‘contribution’ is the window's part of the margin of "
        f"{trace.label_names[trace.decision.predicted]} (see the decision): all windows and the bias sum to it."
    )
    table = Table(columns, rows, numeric=(0, 2, 3), omitted=len(windows) - TOP, noun="window")
    return [Paragraph(text), table, Paragraph(note)]


def _states(trace: Trace) -> list[Block]:
    states = trace.encoder.states or []
    predicted = trace.decision.predicted
    rows: list[list[Cell]] = [
        [
            token_label(state.token),
            f"{state.norm:.3f}",
            *(f"{value:+.3f}" for value in state.values[:3]),
            f"{state.probabilities[predicted]:.3f}",
            Bar(state.probabilities[predicted]),
        ]
        for state in states[:MAX_ROWS]
    ]
    columns = ["after token", "norm", "1", "2", "3", "P", ""]
    return [
        Paragraph(
            "The ‘gru’ encoder reads the tokens from left to right. After each token it computes a hidden state of "
            f"{trace.shapes[-3].shape[1]} numbers from the previous state and the token's word vector. The last state "
            f"is the feature vector. ‘P’ is the probability of {trace.label_names[predicted]} if the text ended there:"
        ),
        Table(columns, rows, numeric=(1, 2, 3, 4, 5), omitted=len(states) - MAX_ROWS),
        HeatMap(
            "The first numbers of each state", [(token_label(state.token), state.values) for state in states[:MAX_ROWS]]
        ),
    ]
