"""The page: its numbers are those of `comparison.json`, and its text is escaped."""

import html
import json
import re
import shutil
from html.parser import HTMLParser

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
from warmup_lab.report.page import definitions

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
        (alt.LayerChart if "layer" in spec else alt.Chart).validate(spec)


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


def test_captions_name_only_the_charts_beside_them(page):
    """The recommended heatmap is at the top of the page, and the largest learning rates are further down."""
    for name, mark, absent in (("learning_rate-0-0", "Frame", "Arrow"), ("learning_rate-0-1", "Arrow", "Frame")):
        (figure,) = [one for one in page.split("<figure")[1:] if f'id="{name}"' in one]
        caption = figure.partition("<figcaption>")[2].partition("</figcaption>")[0]
        assert mark in caption
        assert absent not in caption


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
    assert "Not stated in advance: compare.margin was first 0.02, then 0.5 from" in notes
    assert 'id="statements"' in text
