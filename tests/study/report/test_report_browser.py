import json
from collections.abc import Iterator

import pytest

from pipeline.study.report.figures.all import write_figures
from pipeline.study.report.html import write_report
from tests.study.report.browser import BINARY, Browser
from tests.study.report.fake_results import fake_results

pytestmark = pytest.mark.skipif(BINARY is None, reason="no chromium on this machine")

PLACE = """(() => {
  const words = [...document.querySelectorAll('.word')];
  const mark = words.find((word) => word.lastChild.textContent === %s);
  mark.scrollIntoView({block: 'center', behavior: 'instant'});
  const box = mark.firstChild.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
})()"""
STATUS, TIP = "document.querySelector('.map .status').textContent", "document.querySelector('.map .tip')"
DRAWN = """[...document.querySelectorAll('.word')].map((word) =>
  [word.lastChild.textContent, word.style.transform.match(/-?[0-9.]+/g).map(Number)]).sort()"""
FOUND = "[...document.querySelectorAll('.word.found')].map((word) => word.lastChild.textContent)"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    results = fake_results(generated=True)
    write_report(results, write_figures(results, folder / "figures"), folder)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Browser:
    browser.open(address)
    return browser


def choose(page: Browser, *, variant: str = "", when: str = "") -> None:
    """Use the map's controls."""
    if variant:
        page.value(
            f"(() => {{ const s = document.querySelector('.map select'); s.value = {json.dumps(variant)};"
            "s.dispatchEvent(new Event('change')); })()"
        )
    if when:
        page.value(f"document.querySelector('.map input[value={when}]').click()")


class TestPage:
    @pytest.mark.parametrize("dark", [False, True])
    @pytest.mark.parametrize("width", [375, 1280])
    def test_loads_without_complaint_request_or_sideways_scroll(
        self, browser: Browser, address: str, width: int, dark: bool
    ) -> None:
        browser.open(address, width=width, dark=dark)
        assert browser.complaints() == []
        assert [url for url in browser.requests() if not url.startswith("data:image/svg+xml")] == [address]
        sizes = browser.value("[document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]")
        assert sizes == [width, width, width]

    def test_every_answer_stands_on_the_first_screen(self, page: Browser) -> None:
        assert page.value("document.querySelector('.verdict:last-child').getBoundingClientRect().bottom") < 800

    def test_the_script_of_a_tweet_does_not_run(self, page: Browser) -> None:
        assert not any(method == "Page.javascriptDialogOpening" for method, _ in page.events)
        assert page.value("document.querySelectorAll('script').length") == 2

    def test_figures_are_drawn(self, page: Browser) -> None:
        drawn = page.value("[...document.images].map((image) => image.complete && image.naturalWidth > 300)")
        assert drawn == [True] * 13

    @pytest.mark.parametrize("dark", [False, True])
    def test_text_can_be_read_on_its_ground(self, browser: Browser, address: str, dark: bool) -> None:
        browser.open(address, dark=dark)
        contrasts = browser.value(
            """(() => {
              const light = (colour) => {
                const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
                  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
              };
              const ground = (node) => {
                const colour = getComputedStyle(node).backgroundColor;
                return colour !== 'rgba(0, 0, 0, 0)' || !node.parentElement ? colour : ground(node.parentElement);
              };
              const found = {};
              for (const name of ['h1', '.summary', '.generated', '.warnings', '.warnings code', '.verdict h3',
                  '.answer', '.verdict li', '.guide', 'thead th', 'td', 'figcaption', 'figcaption a',
                  'pre', '.status', '.tip']) {
                const node = document.querySelector(name);
                const pair = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
                found[name] = (pair[0] + 0.05) / (pair[1] + 0.05);
              }
              return found;
            })()"""
        )
        assert len(contrasts) == 16
        assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}

    def test_dark_mode_is_dark_but_figures_stay_white(self, browser: Browser, address: str) -> None:
        browser.open(address, dark=True)
        assert (
            browser.value("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(255, 255, 255)"
        )

    def test_without_scripts_a_sentence_stands_in_place_of_the_map(self, browser: Browser, address: str) -> None:
        browser.open(address, script=False)
        text = browser.value("document.querySelector('#map').innerText")
        assert "The map of 300 words needs JavaScript, which is turned off here." in text
        assert "Find a word" not in text


class TestMap:
    def test_hover_tells_word_polarity_and_count(self, page: Browser) -> None:
        assert page.value(TIP + ".hidden") is True
        page.move(*page.value(PLACE % '"bad"'))
        assert page.value(TIP + ".hidden") is False
        assert page.value(TIP + ".innerText") == "bad\nnegative, 1,500 times in the text"
        page.move(2, 2)
        assert page.value(TIP + ".hidden") is True

    def test_hover_shows_markup_in_a_word_as_text(self, page: Browser) -> None:
        page.move(*page.value(PLACE % '"<b>happy</b>"'))
        assert page.value(TIP + ".innerText").startswith("<b>happy</b>\nneither positive nor negative, 1,000 times")

    def test_touch_chooses_a_word(self, browser: Browser, address: str) -> None:
        browser.open(address, width=375)
        browser.tap(*browser.value(PLACE % '"word0"'))
        assert browser.value(STATUS) == "word0: positive, 230 times in the text."

    def test_search_names_one_word_and_fades_the_others(self, page: Browser) -> None:
        page.value("document.querySelector('.map input[type=search]').focus()")
        page.type("GOO")
        page.type("d")
        assert page.value(FOUND) == ["good"]
        assert page.value(STATUS) == "good: positive, 3,000 times in the text."
        assert float(page.value("getComputedStyle(document.querySelector('.word:not(.found)')).opacity")) < 0.2
        label = "getComputedStyle(document.querySelector('.word.found text'))"
        assert page.value(f"[{label}.display, {label}.fontWeight]") == ["block", "700"]

    def test_search_counts_words_that_begin_alike_and_says_when_there_is_none(self, page: Browser) -> None:
        page.value("document.querySelector('.map input[type=search]').focus()")
        page.type("word1")
        assert page.value("document.querySelectorAll('.word.found').length") == 20
        page.type("23")
        assert page.value("document.querySelectorAll('.word.found').length") == 1
        page.type("x")
        assert page.value(STATUS) == "No word on the map starts with “word123x”."
        assert page.value("document.querySelector('.searching')") is None

    def test_after_training_words_stand_elsewhere(self, page: Browser) -> None:
        before = page.value(DRAWN)
        choose(page, when="after")
        after = page.value(DRAWN)
        assert sum(one != other for one, other in zip(before, after, strict=True)) > 290
        assert page.value(STATUS) == "vectors learned from scratch, after training: 300 words."
        choose(page, when="before")
        assert page.value(DRAWN) == before

    def test_frozen_words_stay_and_the_map_says_so(self, page: Browser) -> None:
        choose(page, variant="cbow_frozen")
        before = page.value(DRAWN)
        choose(page, when="after")
        assert page.value(DRAWN) == before
        assert page.value(STATUS) == "CBOW, frozen: training moved no word."

    def test_places_keep_their_proportions(self, page: Browser) -> None:
        words_map = fake_results().words_map
        places = dict(zip(words_map["words"], words_map["variants"]["random_trainable"]["before"], strict=True))
        drawn = dict(page.value(DRAWN))
        first, second, third, fourth = "good", "bad", "word7", "word200"
        scale = (drawn[first][0] - drawn[second][0]) / (places[first][0] - places[second][0])
        assert scale > 20
        across, up = (places[third][axis] - places[fourth][axis] for axis in (0, 1))
        assert drawn[third][0] - drawn[fourth][0] == pytest.approx(scale * across, abs=0.5)
        assert drawn[third][1] - drawn[fourth][1] == pytest.approx(-scale * up, abs=0.5)

    def test_arrow_keys_walk_and_escape_ends(self, page: Browser) -> None:
        page.value("document.querySelector('.map svg.words').focus()")
        page.press("ArrowRight")
        assert page.value(STATUS) == "good: positive, 3,000 times in the text."
        left = page.value(PLACE % '"good"')[0]
        page.press("ArrowRight")
        word = page.value("document.querySelector('.word.active text').textContent")
        assert word != "good"
        assert page.value(PLACE % json.dumps(word))[0] > left
        page.press("Escape")
        assert page.value("document.querySelector('.word.active')") is None
        assert page.complaints() == []

    def test_polarity_is_told_by_shape_too(self, page: Browser) -> None:
        keys = "[...document.querySelectorAll('.legend .key')]"
        shapes = page.value(f"{keys}.map((key) => [key.dataset.kind, key.firstChild.getAttribute('d')])")
        assert len({shape for _, shape in shapes}) == 3
        for kind, shape in shapes:
            drawn = page.value(f"[...document.querySelectorAll('.word.{kind} path')].map((p) => p.getAttribute('d'))")
            assert set(drawn) == {shape}
            assert len(drawn) == 100

    def test_a_narrower_window_draws_the_map_anew(self, page: Browser) -> None:
        page.call("Emulation.setDeviceMetricsOverride", width=700, height=900, deviceScaleFactor=1, mobile=False)
        drawn = "[document.querySelector('.words').viewBox.baseVal.width, document.querySelector('.words').clientWidth]"
        page.wait(lambda: len(set(page.value(drawn))) == 1 and page.value(drawn)[0] < 700)
        assert page.complaints() == []
