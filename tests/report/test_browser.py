"""The page in a browser: what it draws and requests, and what it does by mouse and keyboard.

Opening the page takes more time than all that a test does with it. So tests share a page of one width and one colour
scheme, as long as each leaves it as it found it.
"""

import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from fake_sweep import make_sweep

from warmup_lab.report.build import report_sweep

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DIGEST = """async () => {
    document.activeElement.blur();
    getSelection().empty();
    for (const box of [document.documentElement, ...document.querySelectorAll('.scroll')]) box.scrollTo(0, 0);
    const shown = [...document.body.children].filter(one => !one.matches('script, #vg-tooltip-element:not(.visible)'));
    const content = [document.documentElement.className, ...shown.map(one => one.outerHTML)].join();
    const bytes = new TextEncoder().encode(content.replaceAll(/ (class|style)=""/g, ''));
    return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)).join();
}"""
"""Takes away the focus, scrolls to the start, and returns a digest of all that is shown."""


class OpenPage:
    """A report in a window of its own, with the messages of its console, and its requests."""

    def __init__(self, browser, path, width, color_scheme):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=color_scheme)
        self.page, self.messages, self.requests = self.context.new_page(), [], []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=30_000)
        self.digest, self.num_requests = self.page.evaluate(DIGEST), len(self.requests)

    def is_as_opened(self):
        self.page.mouse.move(0, 0)
        del self.requests[self.num_requests :]
        return self.page.evaluate(DIGEST) == self.digest and self.messages == []


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make install)")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"]
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def unchanged():
    """The open pages that are as they were when they were opened, by file, width and colour scheme."""
    pages = {}
    yield pages
    for page in pages.values():
        page.context.close()


@pytest.fixture
def visit(browser, unchanged):
    """Shows a report at a width. Returns the page, the messages of its console, and its requests."""
    used = {}

    def go(path: Path, width: int, color_scheme: str = "light"):
        which = path, width, color_scheme
        used[which] = unchanged.pop(which, None) or OpenPage(browser, *which)
        return used[which].page, used[which].messages, used[which].requests

    yield go
    for which, shown in used.items():
        if shown.is_as_opened():
            unchanged[which] = shown
        else:
            shown.context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_page_draws_its_charts_and_requests_nothing(visit, folder, width):
    shown, messages, requests = visit(folder / "report.html", width)
    assert messages == []
    assert requests == [(folder / "report.html").as_uri()]
    drawn = ", ".join(f"svg .mark-{mark} path" for mark in ("symbol", "line", "rect"))
    counting = f"places => places.map(one => one.querySelectorAll('{drawn}').length)"
    marks = shown.eval_on_selector_all(".chart", counting)
    assert len(marks) == 2 + 2 + 3 + 3 + 8 + 3 + 6
    assert min(marks) >= 4
    wider = "one => one.getBoundingClientRect().right > innerWidth"
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert not shown.eval_on_selector_all(".chart svg, h1, figcaption, pre", f"all => all.some({wider})")
    widths = shown.eval_on_selector_all(".chart svg", "all => all.map(one => one.getBoundingClientRect().width)")
    assert min(widths) > 250


def test_pointing_at_an_arm_fades_the_others_in_every_chart(visit, folder):
    shown, messages, _ = visit(folder / "report.html", 1280)
    row = shown.locator("#arms tbody tr").nth(1)
    row.hover()
    state = """arm => [...document.querySelectorAll('.chart')].map(chart =>
        [...chart.querySelectorAll('.mark-symbol path, .mark-rect path')].filter(node => armsOf(node).length)
            .map(node => [armsOf(node).includes(arm), node.classList.contains('faded')]))"""
    charts = [chart for chart in shown.evaluate(state, row.get_attribute("data-arm")) if chart]
    assert len(charts) > 10
    assert all(own != faded for chart in charts for own, faded in chart)
    assert sum(own for chart in charts for own, _ in chart) > 10
    shown.locator("h1").hover()
    assert shown.locator(".faded, tr.lit").count() == 0
    assert messages == []


def test_dragging_along_an_axis_selects_runs_in_all_charts_and_tables(visit, folder, comparison):
    """The lowest tenth of the last axis: the runs with the smallest losses."""
    shown, messages, _ = visit(folder / "report.html", 1280)
    grip = shown.locator("#parallel-chart .grip").last
    grip.scroll_into_view_if_needed()
    frame = grip.bounding_box()
    x, top, height = frame["x"] + frame["width"] / 2, frame["y"], frame["height"]
    shown.mouse.move(x, top + height - 1)
    shown.mouse.down()
    shown.mouse.move(x, top + 0.95 * height)
    shown.mouse.move(x, top + 0.9 * height)
    shown.mouse.up()
    shown.mouse.move(1, 1)
    lines = json.loads(shown.text_content("#parallel"))["lines"]
    arms = {line["arm"] for line in lines if line["at"][-1] <= 0.1}
    assert 0 < len(arms) < len(comparison["arms"])
    assert f"{len(arms)} arms" in shown.inner_text("#parallel-status")
    assert set(shown.eval_on_selector_all("#arms tr.lit", "rows => rows.map(row => row.dataset.arm)")) == arms
    faded = "nodes => nodes.flatMap(armsOf)"
    assert set(shown.eval_on_selector_all(".chart .mark-rect .faded", faded)).isdisjoint(arms)
    shown.click("#parallel-clear")
    assert shown.locator(".faded, tr.lit, .run.out").count() == 0
    assert messages == []


def test_arrow_keys_move_the_handles_of_an_axis(visit, folder):
    """Down from the top of the last axis: the run with the largest loss is left out first, then the next ones."""
    shown, messages, _ = visit(folder / "report.html", 1280)
    lines = json.loads(shown.text_content("#parallel"))["lines"]
    places = sorted({line["at"][-1] for line in lines})
    handles = shown.locator("#parallel-chart .handle")
    assert handles.count() == 2 * len(json.loads(shown.text_content("#parallel"))["axes"])
    upper = handles.last
    assert upper.get_attribute("aria-valuetext") == "all runs"
    handles.nth(handles.count() - 2).focus()
    shown.keyboard.press("Tab")
    assert upper.evaluate("one => document.activeElement === one && getComputedStyle(one).outlineStyle") == "solid"
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("ArrowDown")
    chosen = [line for line in lines if line["at"][-1] <= places[-3]]
    assert shown.inner_text("#parallel-status").startswith(f"{len(chosen)} of {len(lines)} runs")
    assert upper.get_attribute("aria-valuetext") == str(max(line["value"] for line in chosen))
    assert shown.locator(".run.out").count() == len(lines) - len(chosen)
    shown.keyboard.press("Home")
    lowest = {line["arm"] for line in lines if line["at"][-1] == places[0]}
    assert set(shown.eval_on_selector_all("#arms tr.lit", "rows => rows.map(row => row.dataset.arm)")) == lowest
    shown.keyboard.press("Escape")
    assert shown.locator(".faded, tr.lit, .run.out").count() == 0
    assert messages == []


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_swept_values_are_downloaded_with_their_caption(visit, folder, kind):
    shown, messages, _ = visit(folder / "report.html", 1280)
    with shown.expect_download() as download:
        shown.click(f"#parallel-downloads button[data-kind={kind}]")
    assert download.value.suggested_filename == f"study-swept_values.{kind}"
    content = Path(download.value.path()).read_bytes()
    if kind == "svg":
        assert content.startswith(b"<svg")
        assert b'width="660"' in content
        assert b"Dashed" in content
        assert b"var(" not in content
    else:
        assert struct.unpack(">I", content[16:20])[0] == int(660 * 300 / 96)
    assert messages == []


def test_figure_is_downloaded_as_the_file_in_the_folder(visit, folder):
    shown, messages, requests = visit(folder / "report.html", 1280)
    for kind, magic in (("svg", b"<svg"), ("png", b"\x89PNG")):
        with shown.expect_download() as download:
            shown.click(f"button[data-figure=failures][data-format={kind}]")
        assert download.value.suggested_filename == f"study-failures.{kind}"
        content = Path(download.value.path()).read_bytes()
        assert content.startswith(magic)
        if kind == "svg":
            assert len(content) == pytest.approx((folder / "figures" / "failures.svg").stat().st_size, rel=0.05)
    assert messages == []
    assert [url for url in requests if url.startswith("http")] == []


def test_first_column_stays_while_a_wide_table_scrolls(visit, folder):
    shown, _, _ = visit(folder / "report.html", 390)
    left = "document.querySelector('#arms td').getBoundingClientRect().left"
    before = shown.evaluate(left)
    assert (
        shown.eval_on_selector(".scroll:has(#arms)", "box => { box.scrollLeft = 300; return box.scrollLeft; }") == 300
    )
    assert shown.evaluate(left) == before


def test_dark_page_has_no_dark_text_on_its_charts(visit, folder):
    shown, _, _ = visit(folder / "report.html", 1280, "dark")
    fills = [
        fill
        for places, style in ((".chart .role-axis-label text, .chart .role-axis-title text", "fill"), (".use", "color"))
        for fill in shown.eval_on_selector_all(places, f"all => all.map(one => getComputedStyle(one).{style})")
    ]
    brightness = [sum(map(int, re.findall(r"\d+", fill)[:3])) for fill in fills]
    assert len(brightness) > 100
    assert min(brightness) > 3 * 150
    card = shown.eval_on_selector(".card", "one => getComputedStyle(one).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", card)[:3])) < 3 * 60


def test_tables_sort_by_mouse_and_keyboard(visit, folder, comparison):
    shown, _, _ = visit(folder / "report.html", 1280)
    column = "[...document.querySelectorAll('#runs tbody tr')].map(row => row.cells[4].dataset.v ?? '')"
    head = shown.locator("#runs thead th").nth(4)
    button = head.locator("button")
    assert head.get_attribute("aria-sort") == "none"
    given = sorted(run["eval_loss"] for run in comparison["runs"] if run["eval_loss"] is not None)
    for press, order, expected in (
        (button.click, "ascending", given),
        (lambda: button.press("Enter"), "descending", given[::-1]),
    ):
        press()
        assert head.get_attribute("aria-sort") == order
        values = shown.evaluate(column)
        assert [float(value) for value in values if value] == expected
        assert values[-2:] == ["", ""]  # runs without the metric stay at the end
    shown.locator("#runs thead th button").first.click()
    assert head.get_attribute("aria-sort") == "none"
    names = shown.evaluate("[...document.querySelectorAll('#runs tbody tr')].map(row => row.cells[0].textContent)")
    assert names[0].startswith("warmupcosine-w0")
    assert [name for name in names if "linear" in name][-1].startswith("warmuplinear-w60")


def test_page_of_a_sweep_without_runs_opens(visit, tmp_path):
    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), lrs=(1e-3,), outcome=lambda _: None)
    report_sweep(folder)
    shown, messages, _ = visit(folder / "report.html", 390)
    assert messages == []
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    assert shown.locator("main h2").all_inner_texts() == ["Definitions", "Commands to reproduce"]  # no table of blanks
