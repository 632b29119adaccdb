"""Tables of random texts, as many writers write them, are read back equal, or their rows are named."""

import csv
import io
import shlex
from collections import Counter

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.compose import compose
from pipeline.data.records import Layout
from pipeline.data.tables import read_table
from pipeline.runtime.errors import UserError

AUTO = Layout()
COLUMNS = {"data.text_column": "text", "data.label_column": "label"}
PLAIN = ["so", "happy", "sad", "day", "#x", "1", "é", "👍", "it's", "@u", "null", "NA"]
SPECIAL = ['"', '""', ",", ";", "\t", "|", "\n", "\\", '\\"', "\\n", "  ", "\u0085", "\u2028", '"so"']
DELIMITERS = [(".csv", ","), (".csv", ";"), (".csv", "\t"), (".csv", "|"), (".tsv", "\t"), (".txt", "\t")]
WRITERS = ("minimal", "all", "nonnumeric", "pandas", "pandas_escape", "escape", "unquoted")
AMBIGUOUS = "rows allow double, backslash and none"


@st.composite
def texts(draw, forbidden):
    pool = draw(st.sampled_from([PLAIN, PLAIN, PLAIN + [word for word in SPECIAL if not set(word) & forbidden]]))
    separator = draw(st.sampled_from(["", " "]))
    return separator.join(draw(st.lists(st.sampled_from(pool), min_size=1, max_size=7)))


@st.composite
def tables(draw):
    suffix, delimiter = draw(st.sampled_from(DELIMITERS))
    writer = draw(st.sampled_from(WRITERS))
    forbidden = {"unquoted": {delimiter, "\n"}, "escape": {"\n"}}.get(writer, set())
    rows = draw(st.lists(texts(forbidden).filter(str.strip), min_size=3, max_size=15))
    order = draw(st.permutations(["id", "text", "label"]))
    table = [
        {"id": str(row), "text": text, "label": ("pos", "neg")[row % 2 if row < 2 else draw(st.integers(0, 1))]}
        for row, text in enumerate(rows)
    ]
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    content = written(table, order, writer, delimiter, line_end)
    return suffix, content.encode(encoding), [(row["text"], row["label"]) for row in table], writer


def written(table, order, writer, delimiter, line_end):
    rows = [[row[name] for name in order] for row in table]
    if writer == "unquoted":
        return "".join(delimiter.join(row) + line_end for row in [order, *rows])
    if writer.startswith("pandas"):
        options = {"doublequote": False, "escapechar": "\\"} if writer == "pandas_escape" else {}
        return pd.DataFrame(rows, columns=order).to_csv(index=False, sep=delimiter, **options)
    quoting = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL, "nonnumeric": csv.QUOTE_NONNUMERIC}
    stream = io.StringIO(newline="")
    style = {"quoting": quoting[writer]} if writer in quoting else {"quoting": csv.QUOTE_NONE, "escapechar": "\\"}
    rows = [[int(row["id"]) if name == "id" else row[name] for name in order] for row in table]
    csv.writer(stream, delimiter=delimiter, lineterminator=line_end, **style).writerows([order, *rows])
    return stream.getvalue()


def read(path, layout=AUTO, columns=COLUMNS):
    notes = []
    records = list(read_table(path, columns, layout, notes))
    return [record.values for record in records if record.problem is None], records, notes


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_what_a_writer_writes_is_read_back(tmp_path, table):
    suffix, content, expected, writer = table
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    rows, _, notes = read(path)
    ambiguous = any(AMBIGUOUS in note for note in notes)
    assert rows == expected or (ambiguous and writer in ("unquoted", "escape", "pandas_escape"))
    if rows != expected:
        others = [read(path, Layout(quoting=quoting))[0] for quoting in ("double", "backslash", "none")]
        assert expected in others, "one of the keys that the note names reads the file as it was written"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_damaged_line_loses_no_other_row_in_silence(tmp_path, data):
    number = data.draw(st.integers(12, 30))
    pool = [*PLAIN, *PLAIN, ",", "a, b", '"']
    rows = [
        (
            str(row),
            " ".join(data.draw(st.lists(st.sampled_from(pool), min_size=2, max_size=6))),
            ("pos", "neg")[row % 2],
        )
        for row in range(number)
    ]
    # Several rows that only a writer that quotes can have written: with a single one, a stray quote is ambiguous.
    rows = [
        (identity, f'{text}, "so", he said', label) if int(identity) % 3 else (identity, text, label)
        for identity, text, label in rows
    ]
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([("id", "text", "label"), *rows])
    lines = stream.getvalue().splitlines()
    damaged = data.draw(st.integers(1, number))
    kind = data.draw(st.sampled_from(["stray", "unclosed", "delimiter", "cut"]))
    line = lines[damaged]
    lines[damaged] = {
        "stray": line.replace(",", ',"', 1),
        "unclosed": line[: line.rfind('"')] + line[line.rfind('"') + 1 :] if '"' in line else line,
        "delimiter": f"{line},x",
        "cut": line[: len(line) // 2],
    }[kind]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    read_rows, records, _ = read(path)
    expected = Counter((text, label) for _, text, label in rows)
    missing = expected - Counter(read_rows)
    named = [record for record in records if record.problem is not None]
    assert sum(missing.values()) <= max(1, len(named))
    assert not any("\n" in text for text, _ in read_rows)


def test_a_quote_that_opens_one_text_and_closes_another_swallows_no_rows(tmp_path):
    lines = [f"{row}\t{('pos', 'neg')[row % 2]}\tso happy {row}" for row in range(40)]
    lines[3] = '3\tneg\t"so sad'
    lines[18] = '18\tpos\tso happy 18"'
    lines[30] = '30\tpos\t"quoted" at the beginning'
    path = tmp_path / "t.tsv"
    path.write_text("\n".join(["id\tlabel\ttext", *lines]) + "\n", "utf-8")
    rows, records, _ = read(path)
    assert len(rows) == 40
    assert not any(record.problem for record in records)
    assert rows[3] == ('"so sad', "neg")
    assert rows[18] == ('so happy 18"', "pos")
    assert rows[30] == ('"quoted" at the beginning', "pos")
    assert read(path, Layout(quoting="none"))[0] == rows


def test_lines_that_look_like_rows_inside_a_quoted_text_are_noted(tmp_path):
    content = 'id,text,label\n1,"so, happy",pos\n2,"so\n3,sad,neg\n4,sad, too"",neg\n5,x,neg\n6,"y, z",pos\n'
    path = tmp_path / "t.csv"
    path.write_text(content.replace('too""', 'too"'), "utf-8")
    rows, _, notes = read(path, Layout(quoting="double"))
    assert ("so\n3,sad,neg\n4,sad, too", "neg") in rows
    assert any("row 2 (line 3): a quoted text holds 1 lines that look like rows" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "layout", "row"),
    [
        (b"text;label\nso;pos\nsad;neg\n", {}, ("so", "pos")),
        (b"sep=|\r\ntext|label\r\nso|pos\r\nsad|neg\r\n", {}, ("so", "pos")),
        ("text\tlabel\nsö\tpos\nsad\tneg\n".encode("utf-16-le"), {}, ("sö", "pos")),
        (b"text,label\nbl\xe5,pos\nsad,neg\n", {"encoding": "latin-1"}, ("blå", "pos")),
        (b"text^label\nso^pos\nsad^neg\n", {"delimiter": "^"}, ("so", "pos")),
        (b'\xef\xbb\xbf"text" , label\n"so, ok", pos\nsad, neg\n', {}, ("so, ok", "pos")),
        (b'text,label\n"he said \\"so\\", ok",pos\nC:\\new,neg\n', {}, ('he said "so", ok', "pos")),
        (b'text,label\n"C:\\new \\"x\\"",pos\nsad,neg\n', {}, ('C:\\new "x"', "pos")),
        (b"text\tlabel\rso\tpos\rsad\tneg\r", {"delimiter": "tab"}, ("so", "pos")),
    ],
)
def test_layouts(content, layout, row, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    rows, _, _ = read(path, Layout(**layout))
    assert rows[0] == row
    assert len(rows) == 2


def followed(path, error):
    """Header, text column and label column of the configuration that the suggestion of an error gives."""
    suggestion = shlex.split(str(error).partition("try ")[2])
    data = compose(["data=files", f"data.path={path}", *suggestion]).data
    return data.header, data.text_column, data.label_column


def test_a_table_without_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"0","1","so, happy today"\n"4","2","sad, so sad"\n"4","3","bad"\n"0","4","well"\n', "utf-8")
    expected = [("so, happy today", "0"), ("sad, so sad", "4"), ("bad", "4"), ("well", "0")]
    by_position = {"data.text_column": "2", "data.label_column": "0"}
    rows, _, notes = read(path, columns=by_position)
    assert rows == expected
    assert "t.csv: read with data.header=false (detected)" in notes
    assert read(path, Layout(header="false"), by_position)[0] == expected
    with pytest.raises(UserError) as caught:
        read(path)
    assert "line 1 looks like a row, try data.header=false " in str(caught.value)
    assert followed(path, caught.value) == ("false", "2", "0")


def test_the_suggested_columns_are_there(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,the tweet,mood\n1,so happy today,pos\n2,so sad today,neg\n3,well well,pos\n", "utf-8")
    with pytest.raises(UserError) as caught:
        read(path)
    assert followed(path, caught.value) == ("auto", "the tweet", "mood")
    assert len(read(path, columns={"data.text_column": "the tweet", "data.label_column": "mood"})[0]) == 3


def test_damaged_utf_8_loses_the_damaged_lines_only(tmp_path):
    lines = [f"sö {row},{row % 2}".encode() for row in range(30)]
    lines[7] = b"caf\xe9 7,1"
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\n" + b"\n".join(lines))
    rows, _, notes = read(path)
    assert "t.csv: bytes that are not UTF-8 in 1 lines" in notes
    assert rows[7] == ("caf\udce9 7", "1")  # a bad row for the caller: half a surrogate pair is no text
    assert rows[8] == ("sö 8", "0")


def test_an_8_bit_encoding_is_refused_with_one_that_reads_the_file(tmp_path):
    path = tmp_path / "t.csv"
    text = "text,label\n" + "der Kaffee war schön und süß,1\nça va très bien,0\n" * 20
    path.write_bytes(text.encode("cp1252"))
    with pytest.raises(UserError, match=r"t\.csv, line 2: byte 0xf6 is not UTF-8; .*data\.encoding=(\w+)$") as caught:
        read(path)
    suggested = str(caught.value).rpartition("=")[2]
    assert read(path, Layout(encoding=suggested))[0][0] == ("der Kaffee war schön und süß", "1")


@pytest.mark.parametrize(
    ("text", "encoding"), [("für alle, für mich", "cp1252"), ("naïve “yes”", "cp1252"), ("привет как дела", "cp1251")]
)
def test_the_suggested_encoding_of_short_text(text, encoding, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(f'text,label\n"{text}",1\nso,0\n'.encode(encoding))
    with pytest.raises(UserError, match=f"data.encoding={encoding}$"):
        read(path)


def test_the_wrong_encoding_is_one_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("text,label\nso,1\nçava,0\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"t\.csv, line 3: byte 0xe7 is not valid in data\.encoding=utf-8"):
        read(path, Layout(encoding="utf-8"))


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "zip"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_compressed_files(compression, suffix, tmp_path):
    ending = {"gzip": ".gz", "bz2": ".bz2", "xz": ".xz", "zip": ".zip"}[compression]
    path = tmp_path / f"t{suffix}{ending}"
    frame = pd.DataFrame({"text": ["so, happy", "sad"], "label": ["pos", "neg"]})
    if suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, compression=compression)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",", compression=compression)
    assert read(path)[0] == [("so, happy", "pos"), ("sad", "neg")]


def test_fasttext_lines(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("__label__pos so  happy\nsad day __label__neg\nno label\n__label__a __label__b two\n\n", "utf-8")
    rows, records, _ = read(path)
    assert rows == [("so  happy", "pos"), ("sad day ", "neg")]
    assert [(record.line, record.problem) for record in records[2:]] == [
        (3, "0 labels (__label__…), expected one"),
        (4, "2 labels (__label__…), expected one"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "so", "label": 1}, {"text": "sad", "label": 0}]',
        '[\n  {"text": "so", "label": 1},\n  {"text": "sad", "label": 0}\n]\n',
        '{"data": [{"text": "so", "label": 1}, {"text": "sad", "label": 0}], "version": 1}',
        '{\n"rows": [{"text": "so", "label": 1},\n{"text": "sad", "label": 0}]}',
        '{"text": "so", "label": 1}\n\n{"text": "sad", "label": 0}',
    ],
)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_json_lists_and_lines(content, name, tmp_path):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    assert read(path)[0] == [("so", 1), ("sad", 0)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.json", '{"text": {"0": "a"}, "label": {"0": 1}}', "the first object holds whole columns"),
        ("t.json", '{\n"text": ["a"],\n"label": [1]}', "the first object holds whole columns"),
        ("t.jsonl", '{"data": {"text": "a"}, "label": 1}', "no column 'text' (data.text_column); columns: data, label"),
        ("t.xlsx", "x", "found '.xlsx'; save the sheet as CSV"),
        ("t.zip", "x", "expected a file ending in"),
    ],
)
def test_other_layouts_are_one_line(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(UserError) as caught:
        read(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "content"),
    [
        ("delimiter", "comma", b"text;label\nso;pos\nsad;neg\n"),
        ("delimiter", "tab", b"text,label\nso,pos\nsad,neg\n"),
        ("header", "false", b"text,label\nso,pos\nsad,neg\n"),
        ("encoding", "utf-16", b"text,label\nso,pos\nsad,neg\n"),
        ("encoding", "utf-8", "text,label\nso,pos\nsad,neg\n".encode("utf-16")),
    ],
)
def test_a_wrong_key_is_named_with_the_value_that_reads_the_file(key, value, content, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read(path, Layout(**{key: value}))
    assert str(caught.value).endswith(f"(data.label_column); with data.{key}=auto it has")
    assert f"with data.{key}={value} it has no column 'text' (data.text_column)" in str(caught.value)
    assert read(path)[0] == [("so", "pos"), ("sad", "neg")]
