"""The page: its numbers are those of `comparison.json`, its text is escaped, and a browser can open it."""

import html
import json
import re
import shutil
import struct
from html.parser import HTMLParser
from pathlib import Path

import altair as alt
import numpy as np
import pytest
from fake_sweep import LN2, Outcome, learning_curve, make_job, make_sweep, usual, write_sweep
from report_files import data_rows, leaves, read_specs

from warmup_lab.comparison.numbers import p_text
from warmup_lab.comparison.sweep_log import record_start
from warmup_lab.figures.layout import short_percent
from warmup_lab.report.build import report_sweep
from warmup_lab.report.numbers import number, percent, signed
from warmup_lab.report.page import definitions, page_environment

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ONE_LINE = {"schedulers": ("warmuplinear",), "lrs": (1e-3,)}


# --- numbers


class PageText(HTMLParser):
    """The text in the head of a page and in the cells of its tables, where all its numbers are."""

    def __init__(self):
        super().__init__()
        self.inside, self.found, self.values = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag in ("header", "td"):
            self.inside.append(tag)
        if tag == "td" and "data-v" in dict(attrs):
            self.values.append(float(dict(attrs)["data-v"]))

    def handle_endtag(self, tag):
        if self.inside and tag == self.inside[-1]:
            self.inside.pop()

    def handle_data(self, data):
        if self.inside:
            self.found.append(data)


def test_every_number_of_the_page_is_in_comparison_json(comparison, page):
    parser = PageText()
    parser.feed(page)
    known = leaves(comparison)
    numbers = {float(leaf) for leaf in known if isinstance(leaf, (int, float))}
    assert len(parser.values) > 1000
    assert set(parser.values) <= numbers
    words = " ".join(leaf for leaf in known if isinstance(leaf, str))
    ways = (
        number,
        signed,
        percent,
        str,
        short_percent,
        p_text,
        lambda value: f"{value:.2g}",
        lambda value: f"{value:.0f}",
    )
    written = {way(value).removesuffix(" %") for value in numbers for way in ways}
    tokens = re.findall(r"(?<![\w.])[+-]?\d[\d.]*(?:e[+-]?\d+)?", " ".join(parser.found))
    assert len(tokens) > 1000
    assert [token for token in tokens if token.rstrip(".") not in written and token not in words] == []


def test_every_chart_is_valid_vega_lite(folder):
    for spec in read_specs(folder).values():
        alt.Chart.from_dict(spec, validate=True)


def test_every_number_of_the_charts_is_in_comparison_json(comparison, folder):
    numbers = {float(leaf) for leaf in leaves(comparison) if isinstance(leaf, (int, float))}
    specs = {name: spec for name, spec in read_specs(folder).items() if not name.startswith("traces")}
    assert {name.rpartition("-")[0].rpartition("-")[0] for name in specs} == {
        "failures", "usable_lr", "oscillation", "oscillation_detail", "quality", "learning_rate",
    }  # fmt: skip
    drawn = [
        number
        for spec in specs.values()
        for row in data_rows(spec)
        for key in ("mean", "low", "high", "value", "lr50")
        for number in leaves(row.get(key))
        if number is not None and "zero" not in row
    ]
    assert len(drawn) > 500
    assert set(drawn) <= numbers


@pytest.mark.usefixtures("without_pictures")
def test_arm_of_which_no_run_learned_is_a_cross(tmp_path):
    def outcome(strategy):
        never = strategy["warmup_steps"] == 0
        return Outcome("completed", True, np.full(120, LN2), {"eval_loss": LN2}) if never else usual(strategy)

    folder = make_sweep(tmp_path / "study", **ONE_LINE, outcome=outcome)
    found = report_sweep(folder)
    assert found["arms"][0]["metrics"]["whole/roughness"]["mean"] is None
    spec = read_specs(folder)["oscillation-0-0"]
    rows = [row for row in data_rows(spec) if "cross" in row]
    assert [row["cross"] for row in rows] == [False] * 3 + [True]
    assert spec["layer"][-1]["mark"]["shape"].startswith("M-1,-1")
    assert "0 of 6" in [row["learned"] for row in rows]


# --- text


def test_page_has_headline_definitions_and_commands(comparison, page, folder):
    (headline,) = re.findall("<h1>(.*?)</h1>", page)
    assert re.sub("<[^>]+>", "", headline) == comparison["headline"]
    assert comparison["command"] in page
    assert f"python -m warmup_lab.report {folder.as_posix()}" in page
    for one in definitions():
        assert one["words"].endswith(".")
        assert f"<code>{one['name']}</code>" in page
    assert "IQM(|d|) / 0.6934" in page
    assert page.count("window.vegaEmbed=") == 1
    assert "http-equiv" in page


def test_definitions_have_labelled_parts():
    parts = {one["name"]: dict(one["parts"]) for one in definitions()}
    assert all({"Unit", "Range"} <= set(found) for found in parts.values())
    assert {"Formula", "Blind spot"} <= set(parts["roughness"])


def test_first_screen_is_headline_recommendation_charts_and_sentences(page):
    header = page[page.index("<header>") : page.index("</header>")]
    parts = ("<h1", 'class="answer"', 'id="quality-0-0"', 'id="learning_rate-0-0"', '<ul class="sentences">')
    places = [header.index(part) for part in parts]
    assert places == sorted(places)
    assert page.count('id="quality-0-0"') == 1


def test_card_shows_the_recommendation_and_its_command(comparison, page):
    card = page[page.index('<section class="answer"') :].partition("</section>")[0]
    text = html.unescape(re.sub("<[^>]+>", "", card))
    found = comparison["recommendation"]
    for part in (found["basis"], found["next_command"], *found["unsure"], "of 2 tried, 0.001 to 0.003"):
        assert part in text
    assert found["warmup_decided"]
    assert not found["decided"]
    assert text.strip().startswith("Warmup decided by test\n")


def test_nothing_is_said_twice_on_the_first_screen(comparison, page):
    header = html.unescape(re.sub("<[^>]+>", "", page[page.index("<header>") : page.index("</header>")]))
    advice = comparison["recommendation"]
    for sentence in (comparison["headline"], advice["basis"], *advice["unsure"], *comparison["summary"]):
        assert header.count(sentence) == 1
    assert header.count("Use lr") == 0, "the card has lr and warmup as numbers"
    assert comparison["own_best_lr"]["headline"] not in page.partition("</header>")[2].partition("<script")[0]


CARD = {
    "lr": 1e-3, "lr_tried": [1e-3], "lr_at_edge": None,
    "warmup": {"steps": 3, "percent": 10, "name": "warmuplinear"}, "arm": "a", "seeds": 6,
    "metric": "eval_loss", "title": "final evaluation loss", "mean": 0.2,
    "interval": [0.1, 0.3], "failed": {"count": 0, "total": 6, "share": 0.0, "low": 0.0, "high": 0.4},
    "decided": False, "sentence": "Use lr 0.001.", "unsure": [], "next_command": "python train.py",
    "train_command": None,
}  # fmt: skip


def test_card_does_not_repeat_the_headline():
    section = CARD | {"sentence": "Use lr 0.001."}
    draw = page_environment().get_template("recommendation.html.jinja").module.recommendation
    assert "Use lr 0.001." in draw(section, "Undecided.")
    assert "Use lr 0.001." not in draw(section, "Use lr 0.001.")


@pytest.mark.parametrize(
    ("changes", "shown", "hidden"),
    [
        pytest.param({"decided": True}, ["Decided by test", "Use it"], ["Run next"], id="decided"),
        pytest.param({"interval": None, "seeds": 1}, ["of 1 seed<"], ["mean of all", "interval 0.1"], id="one seed"),
        pytest.param({"lr": None, "warmup": None, "mean": None, "arm": None, "next_command": None},
                     ["Nothing to recommend yet"], ["<dt>", "<pre"], id="nothing"),
        pytest.param({"basis": "Decided by test: all others are worse.", "warmup_decided": True, "setting": "eps=1e-8",
                      "next_note": "About 12 new seeds."},
                     ["Decided by test: all others are worse.", "Warmup decided by test<", "eps=1e-8",
                      "About 12 new seeds."], ["Use lr 0.001."], id="warmup decided"),
        pytest.param({"basis": "A trend is shown.", "effect_shown": True},
                     ["A trend is shown.", "Effect of the warmup shown, not its best length<"], ["not decided"],
                     id="effect shown"),
    ],
)  # fmt: skip
def test_card_is_drawn_from_the_section_alone(changes, shown, hidden):
    text = page_environment().get_template("recommendation.html.jinja").module.recommendation(CARD | changes)
    assert [part for part in shown if part not in text] == []
    assert [part for part in hidden if part in text] == []


def test_table_of_arms_counts_all_seeds_first(comparison, page):
    table = page[page.index('<table class="sortable" id="arms">') :].partition("</table>")[0]
    heads = [re.sub("<[^>]+>", "", head).strip() for head in re.findall(r"<th .*?</th>", table)]
    assert heads[4:6] == ["failed 95 %", "why"]
    assert heads[7:9] == ["eval_loss all seeds, 95 %", "difference all seeds, 95 %"]
    assert heads[-4] == "difference where both learned selected on the outcome; does not decide"
    assert comparison["oscillation"][0]["title"] in page.partition("Exploratory, not the primary metric: ")[2][:80]


@pytest.mark.usefixtures("without_pictures")
def test_interval_of_two_runs_is_not_shown(tmp_path):
    folder = make_sweep(tmp_path / "study", **ONE_LINE, ratios=(0.0, 0.1), seeds=2)
    found = report_sweep(folder)
    assert found["arms"][0]["metrics"]["eval_loss"]["interval_of_all"] is not None
    page = (folder / "report.html").read_text()
    table = page[page.index('id="arms"') :].partition("</table>")[0].partition("<tbody>")[2]
    assert number(found["arms"][0]["metrics"]["eval_loss"]["mean_of_all"]) in table
    assert "<small>" not in table
    assert "95 %" not in page[page.index('id="arms"') :].partition("</thead>")[0]


@pytest.mark.usefixtures("without_pictures")
def test_page_of_a_rank_metric_has_no_means_over_all_seeds(tmp_path):
    folder = make_sweep(tmp_path / "study", **ONE_LINE, compare={"metric": "roughness", "margin": None})
    report_sweep(folder)
    page = (folder / "report.html").read_text()
    assert "whole/roughness <small>where learned, 95 %</small>" in page
    assert "ranks worst" in page


def test_every_chart_has_a_place(folder, page):
    assert [name for name in read_specs(folder) if page.count(f'id="{name}"') != 1] == []


@pytest.mark.usefixtures("without_pictures")
def test_page_without_a_run_that_learned_shows_the_losses_first(tmp_path):
    """A run that learned nothing has the smoothest loss and ends at the loss of guessing, so nothing is drawn."""

    def stuck(_):
        return Outcome("completed", True, np.full(60, LN2), {"eval_loss": LN2})

    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), outcome=stuck, total_steps=60)
    found = report_sweep(folder)
    page = (folder / "report.html").read_text()
    assert found["headline"].startswith("Train for more updates, for example 240 instead of 60: ")
    assert [name for name in read_specs(folder) if page.count(f'id="{name}"') != 1] == []
    header, main = page[page.index("<header>") :].split("</header>", 1)
    assert 'id="traces-0-0"' in header
    heads = ["Arms and verdicts", "Runs", "Definitions", "Commands to reproduce"]
    shown = re.findall("<h2>(.*?)</h2>", main.partition("<script")[0])
    assert shown == ["Loss traces and schedules", "All swept values against final evaluation loss", *heads]


@pytest.mark.usefixtures("without_pictures")
def test_heatmap_has_no_ramps(tmp_path):
    """A ramp ends at the largest rate, so the mean of its runs is not that of any learning rate."""

    def outcome(strategy):
        overshoot = np.arange(200) >= 150 if strategy["scheduler"] == "exponentialramp" else None
        loss = 0.1 if strategy["scheduler"] == "exponentialramp" else 0.3 + strategy["lr"]
        return Outcome(loss=learning_curve(strategy), overshoot=overshoot, metrics={"eval_loss": loss})

    ramps = [make_job("exponentialramp", 0, 0.1, seed, 200) for seed in range(3)]
    rates = [make_job("constantlr", 0, lr, seed, 200) for lr in (0.01, 0.02) for seed in range(3)]
    report_sweep(write_sweep(tmp_path / "study", [*ramps, *rates], outcome))
    page = (tmp_path / "study" / "report.html").read_text()
    assert "Lowest at lr 0.01 with no warmup: 0.31" in page
    assert not [name for name, spec in read_specs(tmp_path / "study").items()
                if name.startswith("learning_rate") and "exponentialramp" in json.dumps(spec)]  # fmt: skip


@pytest.mark.usefixtures("without_pictures")
def test_page_of_ramps_has_no_figures_over_the_warmup(tmp_path):
    def ramp(strategy):
        return Outcome(loss=learning_curve(strategy), overshoot=np.arange(200) >= 150)

    jobs = [make_job("exponentialramp", 0, 0.1, seed, 200) for seed in range(3)]
    found = report_sweep(write_sweep(tmp_path / "study", jobs, ramp))
    assert found["lr_jitter"] is not None
    page = (tmp_path / "study" / "report.html").read_text()
    header = page[page.index("<header>") : page.index("</header>")]
    assert 'id="lr_jitter-0-0"' in header
    assert "versus warmup length" not in page
    names = {name.rpartition("-")[0].rpartition("-")[0] for name in read_specs(tmp_path / "study")}
    assert names & {"oscillation", "oscillation_detail", "quality", "failures", "usable_lr"} == set()
    assert [name for name in read_specs(tmp_path / "study") if page.count(f'id="{name}"') != 1] == []


@pytest.mark.usefixtures("without_pictures")
def test_text_of_users_cannot_become_markup(tmp_path):
    evil = "task.train_file=<img src=x onerror=alert(1)>.tsv</script>"
    failing = Outcome("error", error="ValueError: <b>bold</b> & broken")
    folder = make_sweep(
        tmp_path / "study", lrs=(1e-3,), ratios=(0.0, 0.1), seeds=2, extra=("task.train_file=a.tsv", evil),
        outcome=lambda strategy: failing if strategy["warmup_steps"] == 0 else usual(strategy),
    )  # fmt: skip
    report_sweep(folder)
    page = (folder / "report.html").read_text()
    assert "<img src=x" not in page
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; broken" in page
    assert page.count("</script>") == 5
    assert any(evil in leaf for leaf in leaves(read_specs(folder)) if isinstance(leaf, str))


# --- in a browser


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


@pytest.fixture
def visit(browser):
    """Opens a report at a width. Returns the page, the messages of its console, and its requests."""
    opened = []

    def go(path: Path, width: int):
        context = browser.new_context(viewport={"width": width, "height": 900})
        opened.append(context)
        shown, messages, requests = context.new_page(), [], []
        shown.on("console", lambda message: messages.append(message.text))
        shown.on("pageerror", lambda error: messages.append(str(error)))
        shown.on("request", lambda request: requests.append(request.url))
        shown.goto(path.as_uri())
        shown.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=30_000)
        return shown, messages, requests

    yield go
    for context in opened:
        context.close()


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


def test_captions_name_only_the_charts_beside_them(page):
    """The recommended heatmap is at the top of the page, and the largest learning rates are further down."""
    for name, mark, absent in (("learning_rate-0-0", "Frame", "Arrow"), ("learning_rate-0-1", "Arrow", "Frame")):
        (figure,) = [one for one in page.split("<figure")[1:] if f'id="{name}"' in one]
        caption = figure.partition("<figcaption>")[2].partition("</figcaption>")[0]
        assert mark in caption
        assert absent not in caption


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


def test_dark_page_has_no_dark_text_on_its_charts(browser, folder):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    shown = context.new_page()
    shown.goto((folder / "report.html").as_uri())
    shown.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=30_000)
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
    context.close()


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
    folder = make_sweep(tmp_path / "study", **ONE_LINE, outcome=lambda _: None)
    report_sweep(folder)
    shown, messages, _ = visit(folder / "report.html", 390)
    assert messages == []
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    assert shown.locator("main h2").all_inner_texts() == ["Definitions", "Commands to reproduce"]  # no table of blanks


@pytest.mark.usefixtures("without_pictures")
def test_notes_and_reasons_of_unfinished_runs_are_on_the_page(tmp_path):
    folder = make_sweep(tmp_path / "study", **ONE_LINE)
    first, second, *_ = sorted(json.loads((folder / "sweep.json").read_text())["jobs"], key=lambda job: job["run_id"])
    shutil.rmtree(folder / first["run_id"])
    (folder / second["run_id"] / "result.json").write_text("")
    record_start(folder, "command", {"metric": "eval_loss", "margin": 0.5})
    report_sweep(folder)
    text = (folder / "report.html").read_text()
    assert f"seed {first['strategy']['seed']}: interrupted, or not started: it left no result</li>" in text
    assert f"seed {second['strategy']['seed']}: damaged: result.json is empty</li>" in text
    notes = text.partition('<ul class="notes"')[2].partition("</ul>")[0]
    assert "Not stated in advance: compare.margin was 0.02 first, then 0.5 from" in notes
    assert 'id="statements"' in text
