"""Tables of display strings in LaTeX, with the lines of the package booktabs."""

from collections.abc import Sequence

LATEX_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "–": "--", "≤": r"$\leq$", "ρ": r"$\rho$",
    "\n": " ",
}  # fmt: skip


def latex_escape(text: str) -> str:
    """`text` such that LaTeX prints it as it is."""
    return "".join(LATEX_SIGNS.get(sign, sign) for sign in text)


def latex_table(rows: Sequence[dict[str, str]], caption: str, label: str) -> str:
    """A booktabs table of display strings; columns are those of the first row, the ones with numbers to the right."""
    columns = list(rows[0])
    right = {name for name in columns if all(row[name][:1] in "+−[<>≤–0123456789" for row in rows)}
    lines = [[latex_escape(cell) for cell in columns]] + [[latex_escape(row[name]) for name in columns] for row in rows]
    head, *body = [" & ".join(line) + r" \\" for line in lines]
    places = "".join("r" if name in right else "l" for name in columns)
    return "\n".join(
        [
            r"\begin{table}", r"\centering", rf"\caption{{{latex_escape(caption)}}}", rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{{places}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule",
            r"\end{tabular}", r"\end{table}", "",
        ]
    )  # fmt: skip
