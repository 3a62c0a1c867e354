"""The report of a sweep whose runs are known: its numbers against scipy, its files, its page in a browser."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_sweep import LN2, Outcome, make_sweep, usual
from scipy import stats

from warmup_lab.comparison.table import read_sweep
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import TrackingConfig
from warmup_lab.figures import charts, traces
from warmup_lab.figures.layout import make_layout, short_percent
from warmup_lab.metrics import names
from warmup_lab.metrics.paired import excess, updates_to_target
from warmup_lab.report.build import report_sweep, warmup_series
from warmup_lab.report.page import definitions, number, percent, signed

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
W0, W12 = "warmuplinear-w0 (0 %) lr=0.003", "warmuplinear-w12 (10 %) lr=0.003"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """2 schedulers, 4 warmups, 6 seeds, 2 lr; at the larger, unwarmed, a run diverges and one learns nothing."""
    return make_sweep(tmp_path_factory.mktemp("sweep") / "study")


@pytest.fixture(scope="module")
def comparison(folder):
    return report_sweep(folder)


@pytest.fixture(scope="module")
def table(folder, comparison):  # noqa: ARG001
    return pd.read_parquet(folder / "results.parquet")


@pytest.fixture(scope="module")
def page(folder, comparison):  # noqa: ARG001
    return (folder / "report.html").read_text()


def arm_of(comparison, name):
    return next(arm for arm in comparison["arms"] if arm["name"] == name)


def refuse_constant(name):
    raise AssertionError(f"{name} is not JSON")


# ------------------------------------------------------------------------------------------------ numbers


def test_means_and_intervals_are_those_of_the_runs_that_learned(comparison, table):
    runs = table[(table["arm"] == W0) & (table["status"] == "completed") & ~table["failed_to_learn"]]
    assert len(runs) == 4
    for metric in ("eval_loss", "whole/roughness", "matched/roughness"):
        found = arm_of(comparison, W0)["metrics"][metric]
        low, high = stats.t.interval(0.95, 3, loc=runs[metric].mean(), scale=stats.sem(runs[metric]))
        assert found["num_runs"] == 4
        assert found["mean"] == pytest.approx(runs[metric].mean())
        assert found["interval"] == pytest.approx([low, high])


def test_differences_are_paired_by_seed(comparison, table):
    by_seed = table[table["status"] == "completed"].pivot(index="seed", columns="arm", values="eval_loss")
    first, second = by_seed.loc[2:, W0], by_seed.loc[2:, W12]
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = arm_of(comparison, W0)["metrics"]["eval_loss"]
    assert found["num_pairs"] == 4
    assert found["difference"] == pytest.approx((first - second).mean())
    assert found["difference_interval"] == pytest.approx([expected.low, expected.high])
    assert "difference" not in arm_of(comparison, W12)["metrics"]["eval_loss"]


def test_verdicts_come_with_failures_and_divergences(comparison):
    arm = arm_of(comparison, W0)
    assert arm["failed"] | {"low": 0, "high": 0} == {"count": 2, "total": 6, "low": 0, "high": 0, "share": 1 / 3}
    wilson = stats.binomtest(2, 6).proportion_ci(method="wilson")
    assert [arm["failed"]["low"], arm["failed"]["high"]] == pytest.approx([wilson.low, wilson.high])
    assert arm["diverged"]["count"] == 1
    assert arm["verdict"]["value"] == "inconclusive"
    assert arm_of(comparison, W12)["verdict"]["value"] == "reference"
    assert arm_of(comparison, W0.replace("0.003", "0.001"))["verdict"]["value"] == "worse"


def test_what_was_compared_stands_in_counts_and_sentences(comparison):
    counts = comparison["counts"]
    assert (counts["runs"], counts["arms"], counts["seeds"], counts["learned"]) == (96, 16, 6, 92)
    assert (counts["failed"]["count"], counts["diverged"]["count"], counts["errors"]) == (4, 2, 0)
    said = " ".join(comparison["summary"])
    assert "96 runs of synthetic with bert_tiny and adamw, 120 updates each: 16 arms at 6 seeds, 4 to 6 pairs" in said
    assert "4 of 96 finished runs failed to learn, 2 of them by diverging" in said
    assert "12 updates (10 %) for warmuplinear lr=0.001, warmupcosine lr=0.001" in said
    assert comparison["headline"].startswith("10 % warmup is beaten by nothing tried")


def test_the_largest_lr_that_learns_is_known_for_each_warmup(comparison):
    found = {(row["scheduler"], row["warmup_steps"]): (row["lr"], row["at_edge"]) for row in comparison["largest_lr"]}
    assert found["warmuplinear", 0] == (1e-3, False)
    assert found["warmupcosine", 60] == (3e-3, True)


def test_metrics_of_two_runs_are_against_the_reference_at_the_same_seed(folder, table):
    traces = read_sweep(folder).traces
    ids = table.set_index(["arm", "seed"])["run_id"]
    for arm, seed in ((W0, 3), ("warmupcosine-w60 (50 %) lr=0.001", 5)):
        reference = re.sub(r"-w\d+ \(\d+ %\)", "-w12 (10 %)", arm)
        ours, theirs = (traces[ids[name, seed]]["loss"] for name in (arm, reference))
        row = table[(table["arm"] == arm) & (table["seed"] == seed)].iloc[0]
        assert row["excess"] == excess(ours, theirs)
        assert row["updates_to_target"] == updates_to_target(ours, theirs)
    assert (table.loc[table["arm"] == W12, "excess"] == 0).all()


def test_metrics_of_two_runs_need_both_to_have_learned(tmp_path):
    def outcome(strategy):
        reference_fails = strategy["warmup_steps"] == 12 and strategy["seed"] == 1
        return Outcome("completed", True, np.full(120, LN2), {"eval_loss": LN2}) if reference_fails else usual(strategy)

    report_sweep(make_sweep(tmp_path / "study", schedulers=("warmuplinear",), lrs=(1e-3,), outcome=outcome))
    table = pd.read_parquet(tmp_path / "study" / "results.parquet")
    assert table.loc[table["seed"] == 1, "excess"].isna().all()
    assert table.loc[table["seed"] != 1, "excess"].notna().all()


def test_comparison_json_is_what_was_returned_and_plain_json(folder, comparison):
    text = (folder / "comparison.json").read_text()
    assert json.loads(text, parse_constant=refuse_constant) == comparison


def test_a_second_report_is_the_same_but_for_times(tmp_path):
    folder, again = make_sweep(tmp_path / "first" / "study", lrs=(1e-3,), seeds=3), tmp_path / "second" / "study"
    comparison = report_sweep(folder)
    shutil.copytree(folder, again)
    for path in again.glob("*/result.json"):
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"speed": {"seconds": 7.0}}))
    found = report_sweep(again)
    assert {key: value for key, value in found.items() if key != "seconds"} == {
        key: value for key, value in comparison.items() if key != "seconds"
    }
    first, second = (pd.read_parquet(path / "results.parquet") for path in (folder, again))
    pd.testing.assert_frame_equal(first.drop(columns="seconds"), second.drop(columns="seconds"))
    kept = {name: (folder / name).read_bytes() for name in ("results.parquet", "comparison.json")}
    report_sweep(folder)
    assert kept == {name: (folder / name).read_bytes() for name in kept}


# --------------------------------------------------------------------------------------------------- page


class PageText(HTMLParser):
    """The text of the head of a page and of its tables' cells, which are the places where numbers stand."""

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


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for entry in value for leaf in leaves(entry)]
    return [value]


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
        lambda value: f"{value:.2g}",
        lambda value: f"{value:.0f}",
    )
    written = {way(value).removesuffix(" %") for value in numbers for way in ways}
    tokens = re.findall(r"(?<![\w.])[+-]?\d[\d.]*(?:e[+-]?\d+)?", " ".join(parser.found))
    assert len(tokens) > 1000
    assert [token for token in tokens if token.rstrip(".") not in written and token not in words] == []


def specs_of(page):
    return json.loads(re.search(r'id="specs">(.*?)</script>', page, re.DOTALL)[1])


def test_every_number_of_the_charts_is_in_comparison_json(comparison, page):
    numbers = {float(leaf) for leaf in leaves(comparison) if isinstance(leaf, (int, float))}
    specs = {name: spec for name, spec in specs_of(page).items() if not name.startswith("traces")}
    assert {name.rpartition("-")[0].rpartition("-")[0] for name in specs} == {
        "oscillation", "oscillation_detail", "quality", "learning_rate",
    }  # fmt: skip
    drawn = [
        row[key]
        for spec in specs.values()
        for rows in spec["datasets"].values()
        for row in rows
        for key in ("mean", "low", "high", "value")
        if row.get(key) is not None and "zero" not in row
    ]
    assert len(drawn) > 500
    assert set(drawn) <= numbers


def test_the_page_says_the_verdict_the_definitions_and_the_commands(comparison, page, folder):
    assert f"<h1>{comparison['headline']}</h1>" in page
    assert comparison["command"] in page
    assert f"python -m warmup_lab.report {folder.as_posix()}" in page
    for one in definitions():
        assert one["words"].endswith(".")
        assert f"<code>{one['name']}</code>" in page
    assert "1.4826 * MAD(d)" in page
    assert page.count("window.vegaEmbed=") == 1
    assert "http-equiv" in page


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
    assert page.count("</script>") == 3
    assert any(evil in leaf for leaf in leaves(specs_of(page)) if isinstance(leaf, str))


# ------------------------------------------------------------------------------------------------ figures


def test_every_figure_is_there_as_png_and_svg(folder, comparison):  # noqa: ARG001
    names = {"oscillation", "oscillation_detail", "quality", "learning_rate", "traces"}
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{end}" for name in names for end in ("png", "svg")
    }
    for name in names:
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ElementTree.parse(folder / "figures" / f"{name}.svg").getroot()
        assert len(root.findall(".//{http://www.w3.org/2000/svg}path")) > 20


def test_a_figure_that_no_longer_applies_goes(tmp_path):
    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), seeds=1, ratios=(0.0, 0.1))
    report_sweep(folder)
    (folder / "figures" / "mine.png").write_bytes(b"kept")
    make_sweep(folder, **ONE, seeds=1, ratios=(0.0, 0.1))
    report_sweep(folder)
    assert {path.stem for path in (folder / "figures").iterdir()} == {
        "mine",
        "oscillation",
        "oscillation_detail",
        "quality",
        "traces",
    }


def test_an_arm_that_never_learned_is_a_cross_and_not_a_calm_point(tmp_path):
    def outcome(strategy):
        never = strategy["warmup_steps"] == 0
        return Outcome("completed", True, np.full(120, LN2), {"eval_loss": LN2}) if never else usual(strategy)

    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), lrs=(1e-3,), outcome=outcome)
    found = report_sweep(folder)
    assert found["arms"][0]["metrics"]["whole/roughness"]["mean"] is None
    spec = specs_of((folder / "report.html").read_text())["oscillation-0-0"]
    rows = [row for rows in spec["datasets"].values() for row in rows]
    assert [row["cross"] for row in rows] == [False] * 3 + [True]
    assert spec["layer"][-1]["mark"]["shape"].startswith("M-1,-1")
    assert "0 of 6" in [row["learned"] for row in rows]


@pytest.mark.parametrize(
    ("kinds", "rates", "panels", "lines"),
    [(1, 1, 1, 1), (2, 1, 1, 2), (2, 2, 1, 4), (1, 5, 1, 5), (2, 3, 2, 3), (3, 2, 2, 3), (2, 7, 7, 2), (6, 6, 6, 6)],
)
def test_lines_are_spread_over_as_few_panels_as_are_readable(kinds, rates, panels, lines):
    arms = [
        {"scheduler": f"s{kind}", "setting": "", "lr": 10.0**-rate, "warmup_steps": 3, "total_steps": 30}
        for kind in range(kinds)
        for rate in range(rates)
    ]
    layout = make_layout(arms)
    assert (len(layout.panels), len(layout.lines)) == (panels, lines)
    assert len({(arm["panel"], arm["line"]) for arm in layout.arms}) == len(arms)


def test_lines_differ_without_colour():
    looks = [charts.style(index) for index in range(21)]
    assert len({(tuple(dash), shape) for _, dash, shape in looks[:7]}) == 7
    assert len({(colour, shape) for colour, _, shape in looks}) == 21


def test_the_frame_holds_all_means_and_no_endless_interval():
    rows = [{"mean": 1.0, "low": -50.0, "high": 52.0}, {"mean": 2.0, "low": 1.9, "high": 2.1}, {"mean": None}]
    low, high = charts.frame(rows)
    assert -1 < low < 1 < 2.1 < high < 4
    assert charts.frame([{"mean": None}])[0] < charts.frame([{"mean": None}])[1]
    assert charts.frame([{"mean": 0.0, "low": 0.0, "high": 0.0}])[1] > 0


def test_thinning_keeps_every_spike_and_the_ends_of_short_lines():
    loss = np.random.default_rng(0).normal(size=1000)
    loss[[3, 500]] = 9.0, -9.0
    kept = traces.thinned(loss, 100)
    assert len(kept) <= 100
    assert {3, 500} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(traces.thinned(loss[:50], 100), np.arange(50))


def test_the_median_over_seeds_is_that_of_the_runs_that_got_so_far():
    median = traces.median_over_seeds([np.array([1.0, 5.0, 9.0]), np.array([3.0, 7.0]), np.array([2.0])])
    assert median.tolist() == [2.0, 6.0, 9.0]


def test_a_page_of_many_lines_has_few_points_a_line():
    assert traces.points_a_line(1) == traces.MAX_POINTS
    assert 40 <= traces.points_a_line(1000) <= 100
    assert all(traces.points_a_line(lines) % 2 == 0 for lines in (1, 7, 333, 10_000))


@pytest.mark.parametrize(
    ("metric", "smaller"),
    [
        ("eval_loss", True), ("eval_accuracy", False), ("eval_f1", False), ("eval_matthews_correlation", False),
        ("whole/roughness", True), ("late/rho1", False), ("whole/onset_step", False), ("updates_to_target", True),
    ],
)  # fmt: skip
def test_which_way_a_metric_is_better(metric, smaller):
    assert names.smaller_is_better(metric) == smaller


# --------------------------------------------------------------------------------------------- robustness

ONE = {"schedulers": ("warmuplinear",), "lrs": (1e-3,)}
NEVER = Outcome("completed", True, np.full(120, LN2), {"train_loss": LN2, "eval_loss": LN2, "eval_accuracy": 0.5})


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({**ONE, "ratios": (0.1,)}, id="one arm"),
        pytest.param({**ONE, "ratios": (0.1,), "seeds": 1}, id="one run"),
        pytest.param({**ONE, "seeds": 1}, id="one seed"),
        pytest.param({**ONE, "outcome": lambda _: Outcome("error", error="MemoryError: none left")}, id="all errors"),
        pytest.param({**ONE, "outcome": lambda _: None}, id="nothing started"),
        pytest.param({"schedulers": ("warmuplinear",), "seeds": 2, "outcome": lambda _: NEVER}, id="nothing learned"),
        pytest.param(
            {**ONE, "outcome": lambda _: Outcome("diverged", True, np.array([np.nan]))}, id="diverged at once"
        ),
        pytest.param({**ONE, "outcome": lambda _: Outcome("diverged", True, np.array([]))}, id="empty traces"),
        pytest.param(
            {**ONE, "outcome": lambda _: Outcome("diverged", True, np.array([0.7, 1e200, 1e308, np.nan]))}, id="huge"
        ),
        pytest.param({**ONE, "total_steps": 1, "ratios": (0.0, 1.0), "seeds": 2}, id="one update"),
        pytest.param(
            {"seeds": 2, "schedulers": ("constantlr", "warmupconstant"), "ratios": (0.0, 0.1)}, id="constantlr"
        ),
    ],
)
def test_a_sweep_of_which_nothing_can_be_said_gets_an_honest_report(arguments, tmp_path, capsys):
    found = report_sweep(make_sweep(tmp_path / "study", **arguments))
    values = {arm["verdict"]["value"] for arm in found["arms"]}
    assert values <= {"reference", "no_reference", "inconclusive"}
    page = (tmp_path / "study" / "report.html").read_text()
    assert found["headline"] in page.replace("&#39;", "'")
    assert found["headline"] in capsys.readouterr().out
    json.loads((tmp_path / "study" / "comparison.json").read_text(), parse_constant=refuse_constant)


def test_runs_that_did_not_finish_are_named_with_the_reason(tmp_path, capsys):
    def outcome(strategy):
        broken = strategy["warmup_steps"] == 3 and strategy["seed"] == 2
        return Outcome("error", error="RuntimeError: out of memory") if broken else usual(strategy)

    found = report_sweep(make_sweep(tmp_path / "study", **ONE, outcome=outcome))
    (error,) = found["errors"]
    assert (error["arm"], error["seed"], error["error"]) == ("warmuplinear-w3 (2 %)", 2, "RuntimeError: out of memory")
    assert "1 run did not finish and counts for nothing" in " ".join(found["summary"])
    said = capsys.readouterr().out
    assert f"{error['run_id']} (warmuplinear-w3 (2 %), seed 2): RuntimeError: out of memory" in said
    assert "RuntimeError: out of memory" in (tmp_path / "study" / "report.html").read_text()
    arm = arm_of(found, "warmuplinear-w3 (2 %)")
    assert (arm["num_runs"], arm["num_errors"], arm["failed"]["total"]) == (6, 1, 5)


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        ({"metric": "roughnes"}, r"unknown metric 'roughnes'; did you mean 'roughness'"),
        ({"metric": "eval_f1"}, "unknown metric 'eval_f1'"),
        ({"reference": "warmuplinear-w13"}, "no arm is called 'warmuplinear-w13'; did you mean"),
        ({"reference": "warmuplinear-w12"}, "could be any of: .*lr=0.001, .*lr=0.003"),
    ],
)
def test_a_wrong_metric_or_reference_is_an_error_that_helps(compare, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        report_sweep(make_sweep(tmp_path / "study", seeds=1, compare=compare))


@pytest.mark.parametrize(
    ("metric", "column"),
    [
        ("roughness", "whole/roughness"),
        ("early/roughness", "early/roughness"),
        ("excess", "excess"),
        ("eval_accuracy", "eval_accuracy"),
    ],
)
def test_any_metric_can_be_the_primary_one(metric, column, tmp_path):
    found = report_sweep(make_sweep(tmp_path / "study", **ONE, compare={"metric": metric, "margin": None}))
    assert found["primary"]["metric"] == column
    assert f"on {column}" in found["headline"]
    assert column not in [other["metric"] for other in found["oscillation"]]
    shorter, longer = (arm_of(found, f"warmuplinear-{name}")["verdict"]["value"] for name in ("w0 (0 %)", "w60 (50 %)"))
    assert shorter == "worse"
    assert longer == ("inconclusive" if metric == "eval_accuracy" else "better")


def test_the_stated_reference_is_used_by_its_short_name(tmp_path):
    found = report_sweep(make_sweep(tmp_path / "study", lrs=(1e-3,), compare={"reference": "warmuplinear-w0"}))
    assert found["primary"]["reference"] == "warmuplinear-w0 (0 %)"
    assert {arm["verdict"]["reference"] for arm in found["arms"]} == {"warmuplinear-w0 (0 %)"}
    assert arm_of(found, "warmupcosine-w60 (50 %)")["verdict"]["value"] == "better"


# ------------------------------------------------------------------------------------ terminal and W&B


def test_as_a_user_rebuilds_a_report(folder, comparison):
    command = [sys.executable, "-m", "warmup_lab.report", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["arm", "runs", "learned"]
    (row,) = (line for line in lines if line.startswith(W0))
    assert "4/6" in row
    assert row.endswith("inconclusive")
    assert comparison["headline"] in lines
    assert lines[-1] == f"report: {folder / 'report.html'}"
    assert done.stderr == ""


def test_as_a_user_names_a_folder_without_a_sweep(tmp_path):
    command = [sys.executable, "-m", "warmup_lab.report", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "holds no sweep.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_wandb_gets_the_summary_run_of_a_sweep_and_only_then(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("warmup_lab.tracking.summary.log_summary_run", lambda *args: calls.append(args))
    folder = make_sweep(tmp_path / "study", **ONE, seeds=2, ratios=(0.0, 0.1))
    report_sweep(folder, tracking=TrackingConfig(kind="none"))
    assert calls == []
    tracking = TrackingConfig(kind="wandb", mode="offline")
    found = report_sweep(folder, tracking=tracking)
    ((given, run),) = calls
    assert given == tracking
    assert (run.group, run.directory) == ("study", folder)
    assert len(run.table) == found["counts"]["runs"]
    assert all(path.is_file() and path.suffix == ".png" for path in run.figures)
    assert run.summary["headline"] == found["headline"]
    assert run.series == warmup_series(found)


def test_the_series_of_a_metric_run_over_warmup_length(comparison):
    series = warmup_series(comparison)
    assert set(series) == {"eval_loss", "whole/roughness", "matched/roughness", "failure_rate"}
    line = series["whole/roughness"]["warmuplinear, lr 0.003"]
    assert [steps for steps, _ in line] == [0, 3, 12, 60]
    assert line[0][1] == arm_of(comparison, W0)["metrics"]["whole/roughness"]["mean"]
    assert series["failure_rate"]["warmuplinear, lr 0.003"][0] == (0, 1 / 3)


# ------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine (apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def visit(browser):
    """Opens a report at a width; returns the page, what its console said and what it asked for."""
    opened = []

    def go(path: Path, width: int):
        context = browser.new_context(viewport={"width": width, "height": 900})
        opened.append(context)
        shown, said, asked = context.new_page(), [], []
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(path.as_uri())
        shown.wait_for_function("document.documentElement.dataset.charts === 'drawn'", timeout=30_000)
        return shown, said, asked

    yield go
    for context in opened:
        context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_draws_its_charts_and_asks_no_one(visit, folder, comparison, width):  # noqa: ARG001
    shown, said, asked = visit(folder / "report.html", width)
    assert said == []
    assert asked == [(folder / "report.html").as_uri()]
    drawn = ", ".join(f"svg .mark-{mark} path" for mark in ("symbol", "line", "rect"))
    counting = f"places => places.map(one => one.querySelectorAll('{drawn}').length)"
    marks = shown.eval_on_selector_all(".chart", counting)
    assert len(marks) == 3 + 3 + 8 + 5 + 6
    assert min(marks) >= 4
    wider = "one => one.getBoundingClientRect().right > innerWidth"
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    assert not shown.eval_on_selector_all(".chart svg, h1, figcaption, pre", f"all => all.some({wider})")
    widths = shown.eval_on_selector_all(".chart svg", "all => all.map(one => one.getBoundingClientRect().width)")
    assert min(widths) > 250


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


def test_a_report_of_nothing_opens_without_a_complaint(visit, tmp_path):
    folder = make_sweep(tmp_path / "study", **ONE, outcome=lambda _: None)
    report_sweep(folder)
    shown, said, _ = visit(folder / "report.html", 390)
    assert said == []
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    assert "There is nothing to draw" in shown.inner_text("main")
