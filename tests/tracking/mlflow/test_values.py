import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.mlflow.values import MAX_LINE, fit_note

FOLDER = Path("results/run")


@given(st.lists(st.text("ab '=[],\"$", min_size=1, max_size=60), min_size=3, max_size=30))
def test_a_long_command_is_broken_into_lines_that_mean_the_same(arguments):
    command = shlex.join(["./scripts/run", *arguments])
    lines = fit_note(f"before\n{command}\nafter\n", FOLDER).splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    # Python's shlex does not know that a shell drops a backslash before the end of a line.
    assert shlex.split("\n".join(lines[1:-1]).replace("\\\n", "")) == ["./scripts/run", *arguments]
    longest = max(len(shlex.quote(argument)) for argument in arguments)
    assert max(map(len, lines)) <= max(MAX_LINE + 3, longest + 6)


@pytest.mark.parametrize(
    "note",
    [
        "./scripts/run seed=1\n",
        "A long sentence " * 20 + "\n",
        "python -m pipeline isn't quoted as a shell wants it, " + "so it stays as it is " * 10,
        "| a | table |\n\n    indented\n",
    ],
)
def test_other_lines_stay_as_they_are(note):
    assert fit_note(note, FOLDER) == note
