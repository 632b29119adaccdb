import base64
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.markdown import escape
from pipeline.study.report.blocks import Table
from pipeline.study.report.figures.all import Figure
from pipeline.study.report.html import script_json, write_report
from pipeline.study.report.phrases import effect_text
from pipeline.study.report.sections.all import SECTIONS, design_summary
from pipeline.study.report.sections.scores import baselines, smallest_p_note, trials
from pipeline.study.report.study_results import StudyResults, StudyWarning, Verdict
from pipeline.study.report.tables import difference_table, score_table
from tests.study.report.fake_results import TEXTS, audit_of, fake_results

SVG = '<svg viewBox="0 0 72 36" xmlns="http://www.w3.org/2000/svg"><title>{}</title></svg>'


class Reading(HTMLParser):
    """Elements with their attributes, what stands in the page as text, ids, and the cells of table rows."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.scripts, self.rows, self.inside = "", [], [], ""
        self.cell: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""
        if tag in ("td", "th") and self.cell is not None:
            self.rows[-1].append("".join(self.cell))
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)
        elif not self.inside:
            self.text += data
            if self.cell is not None:
                self.cell.append(data)

    def ids(self) -> list[str]:
        return [found for _, attributes in self.elements if (found := attributes.get("id"))]


def figure_files(folder: Path, names: tuple[str, ...] = ("differences", "an unknown one")) -> list[Figure]:
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for name in names:
        svg, png = folder / f"{name}.svg", folder / f"{name}.png"
        svg.write_text(SVG.format(name))
        png.write_bytes(b"png of " + name.encode())
        figures.append(Figure(name, f"Title of {name}", f"Caption <b>of</b> {name} & more.", png, svg))
    return figures


def written(results: StudyResults, folder: Path) -> tuple[str, str]:
    write_report(results, figure_files(folder / "figures"), folder)
    return (folder / "report.html").read_text("utf-8"), (folder / "report.md").read_text("utf-8")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return written(fake_results(), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def html(both: tuple[str, str]) -> Reading:
    return Reading(both[0])


class TestFirstScreen:
    def test_warnings_verdicts_and_the_design_come_before_the_first_section(self, both: tuple[str, str]) -> None:
        results = fake_results()
        top = Reading(both[0].partition("<section")[0]).text
        markdown = both[1].partition("## Paired differences")[0]
        lines = [results.title, design_summary(results)]
        lines += [part for warning in results.warnings for part in (warning.code, warning.text)]
        lines += [part for v in results.verdicts for part in (v.question, v.answer, *v.evidence)]
        assert len(lines) > 10
        for line in lines:
            assert line in top
            assert escape(line) in markdown or f"`{line}`" in markdown
        order = [top.index(line) for line in lines]
        assert order == sorted(order)

    def test_generated_data_are_labelled_at_the_top_and_only_they(self, tmp_path: Path, html: Reading) -> None:
        page, markdown = written(fake_results(generated=True), tmp_path)
        assert "GENERATED" in Reading(page.partition("<section")[0]).text
        assert "generated tweets" in design_summary(fake_results(generated=True))
        assert "**GENERATED**" in markdown.partition("##")[0]
        assert "GENERATED" not in html.text

    def test_no_box_of_warnings_without_any(self, tmp_path: Path) -> None:
        page, markdown = written(fake_results(empty=["warnings"]), tmp_path)
        assert "Warnings" not in page + markdown

    def test_the_design_summary_names_data_budgets_seeds_metric_and_smallest_effect(self) -> None:
        line = design_summary(fake_results(seeds=5))
        for part in (
            "12,284 test",
            "540,000",
            "4 variants",
            "all (7,200)",
            "5 seeds",
            "macro recall",
            "below 1 point ",
        ):
            assert part in line
        assert effect_text(0.005) == "0.5 points"
        assert effect_text(0.02) == "2 points"


class TestEscaping:
    def test_no_element_comes_from_a_text(self, html: Reading) -> None:
        assert [tag for tag, _ in html.elements if tag in ("b", "seeds", "at", "nan")] == []
        scripts = [attributes.get("type") for tag, attributes in html.elements if tag == "script"]
        assert scripts == ["application/json", None]

    def test_hostile_texts_are_readable_in_both(self, both: tuple[str, str], html: Reading) -> None:
        shown = [row[0] for row in html.rows]
        for text in TEXTS:
            assert " ".join(text.split()) in shown
            assert escape(text) in both[1]
        assert "<script" not in both[1].replace("\\<script", "")

    def test_every_text_of_the_results_is_escaped(self, tmp_path: Path) -> None:
        evil = '</script><img src=x onerror="alert(1)">&amp;'
        results = fake_results()
        words_map = results.words_map | {"words": [evil, *results.words_map["words"][1:]]}
        words_map["variants"] = {evil: words_map["variants"]["cbow_frozen"]}
        results = replace(
            results,
            title=evil,
            warnings=[StudyWarning(evil, evil)],
            verdicts=[Verdict(evil, evil, [evil])],
            words_map=words_map,
            methods=[evil],
            commands=[evil],
            environment={evil: evil},
            audit=_audit_with_text(results.audit, evil),
            data=results.data | {"name": evil, "label_names": [evil] * 3},
            confusion={evil: [[1.0, 2.0, 3.0]] * 3},
            **{name: _with_text(getattr(results, name), evil) for name in ("changed", "examples", "scores", "probes")},
        )
        page, _ = written(results, tmp_path)
        reading = Reading(page)
        assert all(
            attributes.get("src", "").startswith("data:") for tag, attributes in reading.elements if tag == "img"
        )
        assert not [name for _, attributes in reading.elements for name in attributes if name.startswith("on")]
        assert reading.text.count(evil) > 20
        assert json.loads(reading.scripts[0])["words"][0] == evil

    @given(st.text())
    def test_script_json_holds_any_text_and_cannot_end_its_element(self, text: str) -> None:
        held = script_json({"words": [text]})
        assert not set("<>&\u2028\u2029") & set(held)
        assert json.loads(held) == {"words": [text]}

    def test_script_json_has_no_number_that_json_lacks(self) -> None:
        assert script_json({"b": [float("nan"), 1.5], "a": (float("inf"),)}) == '{"a":[null],"b":[null,1.5]}'

    @given(st.text(alphabet="a|`<>&*_[]()#\\~$ \n\r\t", max_size=30))
    def test_markdown_cells_stay_cells(self, text: str) -> None:
        quoted = escape(text)
        assert "\n" not in quoted
        assert "\r" not in quoted
        assert not re.search(r"(?<!\\)(\\\\)*[|`<>*_\[\]#~$]", quoted)
        assert unescape(re.sub(r"\\(.)", r"\1", quoted)) == " ".join(text.split())

    def test_entities_and_markup_are_quoted(self) -> None:
        assert escape("a &lt; | <b>\n*c*") == "a &amp;lt; \\| \\<b\\> \\*c\\*"

    def test_half_a_surrogate_pair_does_not_stop_the_report(self, tmp_path: Path) -> None:
        results = fake_results(methods=["broken \ud83d sign"])
        assert "broken ? sign" in written(results, tmp_path)[0]

    def test_a_fence_is_longer_than_any_in_the_command(self, tmp_path: Path) -> None:
        _, markdown = written(fake_results(commands=["echo ```` x"]), tmp_path)
        assert "`````\necho ```` x\n`````\n" in markdown


def _audit_with_text(audit: dict[str, Any], text: str) -> dict[str, Any]:
    """The audit with a text in place of findings, tokens, class names and tweets."""
    rows = [{"split": text, "row": 1, "label": text, "text": text}] * 2
    near = [record | {"examples": [{"rows": rows}]} for record in audit["near_duplicates"]["across"]]
    tokens = [record | {"token": text, "label": text} for record in audit["leaks"]["tokens"]]
    return audit | {
        "splits": [record | {"classes": {text: 1}} for record in audit["splits"]],
        "near_duplicates": audit["near_duplicates"] | {"across": near},
        "leaks": audit["leaks"] | {"tokens": tokens},
        "findings": [{"code": text, "severity": text, "text": text}],
    }


def _with_text(frame: pd.DataFrame, text: str) -> pd.DataFrame:
    """The frame with a text in place of every text but those that code compares."""
    changed = frame.copy()
    for column in changed.columns:
        if column not in ("kind", "when") and isinstance(changed[column].iloc[0], str):
            changed[column] = text
    return changed.rename(columns={"cbow_frozen": text})


class TestOffline:
    def test_nothing_is_fetched(self, html: Reading) -> None:
        asked = [
            value
            for tag, attributes in html.elements
            for name, value in attributes.items()
            if name in ("src", "srcset", "data", "poster", "action") or (tag == "link" and name == "href")
        ]
        assert len(asked) == 2
        assert all(str(value).startswith("data:image/svg+xml;base64,") for value in asked)

    def test_style_and_script_ask_for_nothing(self, both: tuple[str, str]) -> None:
        page = re.sub(r"data:image[^\"]+", "", both[0])
        assert "@import" not in page
        assert "url(" not in page
        assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}

    def test_the_policy_allows_no_request(self, html: Reading) -> None:
        policy = next(a["content"] for t, a in html.elements if t == "meta" and a.get("http-equiv"))
        assert policy is not None
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
        assert "unsafe" not in policy

    def test_figures_are_inside_and_their_files_linked(self, html: Reading, both: tuple[str, str]) -> None:
        images = [attributes for tag, attributes in html.elements if tag == "img"]
        held = base64.b64decode(str(images[0]["src"]).partition(",")[2]).decode()
        assert held == SVG.format("differences")
        assert images[0]["alt"] == "Title of differences. Caption <b>of</b> differences & more."
        assert (images[0]["width"], images[0]["height"]) == ("96", "48")
        links = [attributes["href"] for tag, attributes in html.elements if tag == "a"]
        assert {"figures/differences.png", "figures/differences.svg", "figures/an%20unknown%20one.png"} <= set(links)
        assert "![Title of an unknown one](figures/an%20unknown%20one.png)" in both[1]


class TestSections:
    def test_equal_results_give_equal_bytes(self, tmp_path: Path, both: tuple[str, str]) -> None:
        assert written(fake_results(), tmp_path) == both

    def test_every_section_stands_once_and_in_the_contents(self, html: Reading) -> None:
        keys = [key for key, *_ in SECTIONS] + ["figures"]
        assert [a["id"] for t, a in html.elements if t == "section"] == keys
        links = [str(a["href"]) for t, a in html.elements if t == "a"]
        assert [link for link in links if link in {f"#{key}" for key in keys}] == [f"#{key}" for key in keys]
        assert len(html.ids()) == len(set(html.ids()))

    @pytest.mark.parametrize(
        ("field", "key"),
        [
            ("confusion", "confusion"),
            ("examples", "examples"),
            ("audit", "audit"),
            ("failures", "failures"),
            ("words_map", "map"),
            ("transfer", "transfer"),
            ("probes", "probes"),
            ("factorial", "factorial"),
            ("trials", "learning-rates"),
            ("unknown unseen_leads", "unknown-words"),
            ("methods", "methods"),
            ("commands", "commands"),
            ("environment", "environment"),
        ],
    )
    def test_a_section_without_data_is_left_out(self, tmp_path: Path, field: str, key: str) -> None:
        write_report(fake_results(empty=field.split()), [], tmp_path)
        page = Reading((tmp_path / "report.html").read_text("utf-8"))
        assert key not in page.ids()
        assert "#" + key not in [attributes.get("href") for _, attributes in page.elements]
        assert len([1 for tag, _ in page.elements if tag == "section"]) == len(SECTIONS) - 1

    def test_a_study_of_nothing_gives_a_page(self, tmp_path: Path) -> None:
        write_report(fake_results(empty=["all"]), [], tmp_path)
        page = Reading((tmp_path / "report.html").read_text("utf-8"))
        assert not [tag for tag, _ in page.elements if tag in ("section", "script")]
        assert fake_results().title in page.text

    def test_frames_without_columns_are_as_good_as_empty_ones(self, tmp_path: Path) -> None:
        bare = {name: pd.DataFrame() for name, value in vars(fake_results()).items() if isinstance(value, pd.DataFrame)}
        write_report(fake_results(empty=["confusion", "words_map"], **bare), [], tmp_path)
        assert "<table>" in (tmp_path / "report.html").read_text("utf-8")


class TestNumbers:
    def test_both_files_hold_the_same_tables(self, both: tuple[str, str], html: Reading) -> None:
        lines = both[1].splitlines()
        rows = [line for line in lines if line.startswith("| ") and not line.startswith("| ---")]
        assert rows == ["| " + " | ".join(map(escape, row)) + " |" for row in html.rows]
        assert len(rows) > 150

    def test_scores_and_differences_are_those_of_the_tables(self, html: Reading) -> None:
        results = fake_results()
        for row in score_table(results):
            assert list(row.values()) in html.rows
        early = ["first − second", "labels", "n", "points", "decision"]
        for row in difference_table(results):
            assert [row[key] for key in [*early, *(key for key in row if key not in early)]] in html.rows
        for row in difference_table(results, planned=False):
            assert [text for key, text in row.items() if key != "decision"] in html.rows

    def test_tables_say_what_they_are(self, html: Reading) -> None:
        tables = sum(tag == "table" for tag, _ in html.elements)
        assert sum(tag == "caption" for tag, _ in html.elements) == tables
        headers = [attributes.get("scope") for tag, attributes in html.elements if tag == "th"]
        assert set(headers) == {"col", "row"}

    def test_the_smallest_p_is_named(self) -> None:
        few = smallest_p_note(fake_results(seeds=5))
        assert "With 5 seeds the sign-flip p cannot fall below 0.0625" in few
        assert "Holm's correction" in few
        assert few.endswith("cannot fall below 1.")
        many = smallest_p_note(fake_results(seeds=10))
        assert "With 10 seeds the sign-flip p cannot fall below 0.002," in many
        assert many.endswith("it cannot fall below 0.039.")

    def test_examples_mark_right_and_wrong(self, tmp_path: Path) -> None:
        examples = pd.DataFrame([{"text": "x", "label": "a", "one": "a", "two": "b"}])
        page, _ = written(fake_results(examples=examples), tmp_path)
        assert ["x", "a", "✓ a", "✗ b"] in Reading(page).rows

    def test_learning_rates_name_the_chosen_factor_and_whether_it_is_at_the_edge(self) -> None:
        (table,) = trials(fake_results())
        assert isinstance(table, Table)
        cells = {(row[0], row[1]): row[2:] for row in table.rows}
        assert cells["CBOW, frozen", "100"][0::2] == ["4", "× 10, 0.3 (5, edge)"]
        assert cells["CBOW, frozen", "300"][0::2] == ["4", "× 3, 0.3 (5)"]
        assert cells["CBOW, frozen", "300"][1].endswith("(× 3)")

    def test_confusion_gives_counts_and_shares_of_the_row(self, tmp_path: Path) -> None:
        results = fake_results(confusion={"v": [[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 2.0]]})
        page, _ = written(results, tmp_path)
        rows = [row[1:] for row in Reading(page).rows]
        assert ["3 (75 %)", "1 (25 %)", "0 (0 %)"] in rows
        assert ["0 (0 %)"] * 3 in rows
        assert 'class="number shade8">3 (75 %)' in page

    def test_baselines_name_the_variants_below_them(self) -> None:
        (table,) = baselines(fake_results())
        assert isinstance(table, Table)
        found = {(row[0], row[1]): row[-1] for row in table.rows}
        assert found["majority", "100"] == "none"
        assert found["vader", "all (7,200)"] == "random vectors, frozen"
        assert found["vader", "100"].split("; ") == [
            "CBOW, fine-tuned",
            "CBOW, frozen",
            "random vectors, frozen",
            "vectors learned from scratch",
        ]


def real_audit(texts: dict[str, list[str]], labels: dict[str, list[int]]) -> dict[str, Any]:
    return audit_of(texts, labels, ["bad <b>", "good"])


class TestAudit:
    TEXTS = {  # noqa: RUF012
        "train": [f"day {i} {':(' if i % 2 else ':)'} <i>" for i in range(400)],
        "test": ["day 3 :( <i>", "day 2 :) <i>", "nothing new", "day 900 :) <i>"],
    }
    LABELS = {"train": [1 - i % 2 for i in range(400)], "test": [0, 1, 1, 1]}  # noqa: RUF012

    def rows(self, folder: Path, **changes: Any) -> Reading:
        report = real_audit(self.TEXTS, self.LABELS)
        page, _ = written(fake_results(audit=report | changes), folder)
        return Reading(page)

    def test_tells_findings_splits_copies_tokens_and_examples(self, tmp_path: Path) -> None:
        page = self.rows(tmp_path)
        report = real_audit(self.TEXTS, self.LABELS)
        assert len(report["findings"]) > 1
        for found in report["findings"]:
            assert f"{found['severity'].capitalize()}: {found['text']}" in page.text
        assert ["train", "400", "200", "200", "0", "0", "4", "–", "–"] in page.rows
        assert ["tweets of test that also occur in train", "2", "2"] in [row[:3] for row in page.rows]
        assert [":(", "bad <b>", "200", "100.0 %", "98.1 %"] in [row[:5] for row in page.rows]
        assert ["test", "3", "75.0 %", "100.0 %"] in [row[:4] for row in page.rows]
        assert ["exact", "train 3, bad <b>: day 3 :( <i>", "test 0, bad <b>: day 3 :( <i>"] in page.rows

    def test_each_condition_of_the_text_is_named(self, tmp_path: Path) -> None:
        report = real_audit(self.TEXTS, self.LABELS)
        page = self.rows(tmp_path, conditions={f"text.emoticons={mode}": report for mode in ("keep", "strip")})
        for mode in ("keep", "strip"):
            assert page.text.count(f"Splits, text.emoticons={mode}") == 2  # the caption, and what is seen of it
        assert page.text.count(report["findings"][0]["text"]) == 2


class TestColumns:
    def test_numbers_stand_to_the_right_and_words_to_the_left(self) -> None:
        cells = [
            ["−0.8 [−1.4, +0.1]", "[+1.0, +2.0]", "< 0.001", "59.7 ± 0.6", "× 0.3", "1,000", "3 times a", "–", "–"],
            ["+0.2", "–", "0.5 (cannot fall below 0.0625)", "40.4 ± 0.8 (n = 9)", "× 3", "7", ":)", "–", "2"],
        ]
        assert Table("", [""] * 9, cells).numeric == [True] * 6 + [False, False, True]
