"""The lesson on one text as a self-contained HTML page: the values and filters for the templates in `page/`."""

import base64
import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.config.variants import prose_name
from pipeline.prediction.explain.printable import counted, enumeration, printable, token_label, truncated
from pipeline.prediction.explain.trace import Trace

MAX_ROWS = 20  # of a table
TOP = 12  # rows of a table that shows the strongest only
MAX_CHIPS = 256


def lesson_page(trace: Trace) -> str:
    """The lesson as one HTML page, in well-formed XML.

    All text is escaped for HTML, and control characters are shown as escapes. A content security policy forbids scripts
    and requests.
    """
    loader = PackageLoader("pipeline.prediction.explain", "page")
    environment = Environment(
        loader=loader, autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(max_rows=MAX_ROWS, top=TOP)
    environment.filters.update(counted=counted, enumeration=enumeration, label=token_label, truncated=truncated)
    environment.filters.update(largest=_largest, vectors=_vectors)
    environment.filters["number"] = lambda value, spec: "–" if value is None else format(value, spec)
    environment.filters["shape"] = lambda shape: f"({', '.join(f'{size:,}' for size in shape)})"
    style = loader.get_source(environment, "style.css")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    decision = trace.decision
    labels = zip(trace.label_names, decision.logits, decision.probabilities, strict=True)
    return environment.get_template("page.html.j2").render(
        vars(trace),
        prose_name=prose_name(trace.variant),
        ranking=sorted(labels, key=lambda label: -label[1]),
        contributions=_contributions(trace) if trace.tokens else None,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )


def _contributions(trace: Trace) -> dict[str, Any]:
    """Contributions to the margin: each token of a short text; of a long one, the strongest and the sum of the others.

    chips : tokens in text order, each with its contribution as a share of the largest.
    rows : names and values in the table, with the bias where the sum is exact; largest : their largest absolute value.
    total : number of tokens from which the rows were chosen. not_measured : number of tokens that were not left out.
    """
    decision = trace.decision
    measured = [
        (token_label(token["token"]), value)
        for token, value in zip(trace.tokens, decision.contributions, strict=True)
        if value is not None
    ]
    tokens = measured
    if len(tokens) > MAX_ROWS and decision.exact:  # the sum of exact contributions is exact
        groups: dict[str, list[float]] = defaultdict(list)
        for name, value in measured:
            groups[name].append(value)
        tokens = [
            (name if len(values) == 1 else f"{name} ×{len(values)}", math.fsum(values))
            for name, values in groups.items()
        ]
    rows = tokens
    if len(tokens) > MAX_ROWS:
        strongest = sorted(range(len(tokens)), key=lambda position: -abs(tokens[position][1]))[:TOP]
        rows = [tokens[position] for position in sorted(strongest)]
    if decision.exact:
        others = math.fsum(value for _, value in tokens) - math.fsum(value for _, value in rows)
        rows = [*rows, *([("(other tokens)", others)] if len(rows) < len(tokens) else []), ("(bias)", decision.bias)]
    largest_token = _largest(value for _, value in measured)
    return {
        "chips": [(name, value / largest_token) for name, value in measured[:MAX_CHIPS]],
        "rows": rows,
        "largest": _largest(value for _, value in rows),
        "total": len(tokens),
        "not_measured": len(trace.tokens) - len(measured),
    }


def _largest(values: Iterable[float]) -> float:
    """The largest absolute value, 1 if all are zero."""
    return max(map(abs, values), default=0.0) or 1.0


def _vectors(items: Sequence[dict[str, Any]], name: str) -> list[tuple[str, list[float]]]:
    """The vectors of the first tokens or states; `name`: the key of their names."""
    return [(token_label(item[name]), item["values"]) for item in items[:MAX_ROWS]]


def _shown(value: Any) -> Any:
    """What the template inserts for a value: invisible characters of plain text as escapes."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
