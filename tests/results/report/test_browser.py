"""Reports in a real browser: nothing is loaded, nothing complains, and every chart shows something."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.browser import Box, Tab, colours
from tests.results.report.conftest import Make, Page
from tests.results.report.hostile import HOSTILE_TITLE

from basis_actors.config import mode_names
from basis_actors.results.report import write_report

SHORT = ("eth_leveraged", "ml_btc_directional_btc_margin", "pure_lending_usdt")
EMPTY = """
[...document.querySelectorAll('.chart')].filter(chart => {
  const shapes = '.scatterlayer path, .barlayer path';
  const drawn = [...chart.querySelectorAll(shapes)].filter(path => {
    const box = path.getBBox();
    return box.width > 0 || box.height > 0;
  });
  const traces = (chart._fullData || []).filter(trace => trace.visible === true);
  return traces.length === 0 || drawn.length < traces.length;
}).map(chart => chart.id)
"""
BOXES = """
[...document.querySelectorAll('.chart')].map(chart => {
  const box = (chart.querySelector('.cartesianlayer') ?? chart).getBoundingClientRect();
  return [chart.id, box.x + scrollX, box.y + scrollY, box.width, box.height];
})
"""
CUT_OFF = """
[...document.querySelectorAll('.card, figcaption, h1, h2, h3, .banner')]
  .filter(element => element.scrollWidth > element.clientWidth + 1).map(element => element.textContent)
"""


def empty(tab: Tab) -> list[str]:
    """Charts that show nothing: a trace without a line or mark, or a plot whose pixels are nearly all alike."""
    found: list[str] = tab.value(EMPTY)
    for name, *box in tab.value(BOXES):
        if colours(tab.picture(Box(*box), scale=0.25)) < 8:
            found.append(name)
    return found


def assert_shown(tab: Tab, page: Path) -> None:
    """On a desktop in the light and on a phone in the dark."""
    charts = len(Page(page).charts)
    for width, dark in ((1280, False), (390, True)):
        tab.open(page, width=width, dark=dark)
        assert tab.value("Number(document.documentElement.dataset.drawn)") == charts > 0
        assert empty(tab) == []
        assert tab.value("document.documentElement.scrollWidth") <= width, "nothing sticks out"
        assert tab.value(CUT_OFF) == []
    assert tab.complaints == []


def test_a_report_is_shown(tab: Tab, page_of: Make) -> None:
    assert_shown(tab, page_of("usdt_market_neutral"))


@pytest.mark.long
@pytest.mark.parametrize("mode", mode_names())
def test_every_mode_is_shown(mode: str, tab: Tab, page_of: Make, form: str) -> None:
    """The short form leaves out the modes that look like another."""
    if form == "short" and mode not in SHORT:
        pytest.skip("not in the short form")
    assert_shown(tab, page_of(mode))


@pytest.mark.long
def test_a_link_to_a_day_opens_it(tab: Tab, page_of: Make) -> None:
    tab.open(page_of("btc_basis"))
    assert tab.value("document.querySelectorAll('details[open]').length") == 0
    target = tab.value("document.querySelector('a[href^=\"#day-\"]').click() || location.hash.slice(1)")
    tab.value("new Promise(done => setTimeout(done))")
    assert tab.value("[...document.querySelectorAll('details[open]')].map(day => day.id)") == [target]


def test_on_paper_the_days_are_open_and_afterwards_as_they_were(tab: Tab, page_of: Make) -> None:
    tab.open(page_of("usdt_market_neutral"))
    days = "[...document.querySelectorAll('details')].map(day => day.open)"
    tab.value("document.querySelector('details').open = true")
    before = tab.value(days)
    assert before[0]
    assert not any(before[1:])
    assert len(before) > 1
    tab.value("dispatchEvent(new Event('beforeprint'))")
    assert all(tab.value(days))
    tab.value("dispatchEvent(new Event('afterprint'))")
    assert tab.value(days) == before
    assert tab.complaints == []


@pytest.mark.long
def test_it_prints_in_black_on_white_with_its_charts(tab: Tab, page_of: Make) -> None:
    tab.open(page_of("usdt_market_neutral"), dark=True)
    assert tab.printed().startswith(b"%PDF")
    tab.value("dispatchEvent(new Event('beforeprint'))")
    assert tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    widths = tab.value("[...document.querySelectorAll('.chart .main-svg')].map(svg => svg.clientWidth)")
    assert max(widths) <= 700
    tab.value("dispatchEvent(new Event('afterprint'))")
    assert tab.value("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert tab.complaints == []


def test_what_a_log_smuggles_in_does_not_run(tab: Tab, hostile: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_report(hostile, page)
    tab.open(page)
    assert tab.value("document.title") != HOSTILE_TITLE
    assert tab.complaints == []
    page.write_text(page.read_text().replace("<main>", f"<main><script>document.title = '{HOSTILE_TITLE}'</script>"))
    tab.open(page)
    assert tab.value("document.title") != HOSTILE_TITLE, "only the scripts of the page itself may run"
    assert tab.complaints


def test_an_empty_chart_and_an_error_are_noticed(tab: Tab, page_of: Make, tmp_path: Path) -> None:
    """The checks above, on a page that is broken on purpose."""
    source = page_of("pure_lending_usdt").read_text()
    broken = tmp_path / "broken.html"
    start = source.index('{"id":"chart-attribution"')
    begin, end = source.index('"data":[', start), source.index('"layout":', start)
    broken.write_text(f'{source[:begin]}"data":[],{source[end:]}')
    tab.open(broken)
    assert "chart-attribution" in empty(tab)
    broken.write_text(source.replace('id="chart-attribution"', 'id="nowhere"'))
    tab.open(broken)
    assert ["chart-attribution" in complaint for complaint in tab.complaints] == [True]
