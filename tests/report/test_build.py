"""The files of a report: its numbers against scipy, its figures, and reports of sweeps with little to say."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_sweep import LN2, Outcome, make_sweep, usual
from report_files import arm_of, read_strict_json
from scipy import stats

from warmup_lab.comparison.table import read_sweep
from warmup_lab.config.errors import ConfigError
from warmup_lab.metrics.paired import excess, half_way_loss, updates_to_target
from warmup_lab.report import build
from warmup_lab.report.build import report_sweep

W0, W12 = "warmuplinear-w0 (0 %) lr=0.003", "warmuplinear-w12 (10 %) lr=0.003"
ONE_LINE = {"schedulers": ("warmuplinear",), "lrs": (1e-3,)}
LEARNED_NOTHING = Outcome(
    "completed", True, np.full(120, LN2), {"train_loss": LN2, "eval_loss": LN2, "eval_accuracy": 0.5}
)


# --- numbers


def test_means_and_intervals_are_those_of_the_runs_that_learned(comparison, table):
    runs = table[(table["arm"] == W0) & (table["status"] == "completed") & ~table["failed_to_learn"]]
    assert len(runs) == 4
    for metric in ("eval_loss", "whole/roughness", "matched/roughness"):
        found = arm_of(comparison, W0)["metrics"][metric]
        low, high = stats.t.interval(0.95, 3, loc=runs[metric].mean(), scale=stats.sem(runs[metric]))
        assert found["num_runs"] == 4
        assert found["mean"] == pytest.approx(runs[metric].mean())
        assert found["interval"] == pytest.approx([low, high])


def test_means_over_all_seeds_count_failed_runs_as_guessing(comparison, table):
    runs = table[table["arm"] == W0]
    fails = runs["failed_to_learn"] | (runs["status"] == "diverged")
    losses = runs["eval_loss"].where(~fails, LN2)
    found = arm_of(comparison, W0)["metrics"]["eval_loss"]
    low, high = stats.t.interval(0.95, 5, loc=losses.mean(), scale=stats.sem(losses))
    assert found["mean_of_all"] == pytest.approx(losses.mean())
    assert found["interval_of_all"] == pytest.approx([low, high])
    assert found["num_pairs_of_all"] == 6
    reference = table[table["arm"] == W12].set_index("seed")["eval_loss"]
    assert found["difference_of_all"] == pytest.approx(losses.mean() - reference.mean())


def test_differences_are_paired_by_seed(comparison, table):
    by_seed = table[table["status"] == "completed"].pivot(index="seed", columns="arm", values="eval_loss")
    first, second = by_seed.loc[2:, W0], by_seed.loc[2:, W12]
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = arm_of(comparison, W0)["metrics"]["eval_loss"]
    assert found["num_pairs"] == 4
    assert found["difference"] == pytest.approx((first - second).mean())
    assert found["difference_interval"] == pytest.approx([expected.low, expected.high])
    assert "difference" not in arm_of(comparison, W12)["metrics"]["eval_loss"]


def test_arms_have_verdicts_failures_and_divergences(comparison):
    arm = arm_of(comparison, W0)
    assert arm["failed"] | {"low": 0, "high": 0} == {"count": 2, "total": 6, "low": 0, "high": 0, "share": 1 / 3}
    wilson = stats.binomtest(2, 6).proportion_ci(method="wilson")
    assert [arm["failed"]["low"], arm["failed"]["high"]] == pytest.approx([wilson.low, wilson.high])
    assert arm["diverged"]["count"] == 1
    assert arm["verdict"]["value"] == "inconclusive"
    assert arm_of(comparison, W12)["verdict"]["value"] == "reference"
    assert arm_of(comparison, W0.replace("0.003", "0.001"))["verdict"]["value"] == "worse"


def test_counts_and_sentences_say_what_was_compared(comparison):
    counts = comparison["counts"]
    assert (counts["runs"], counts["arms"], counts["seeds"], counts["learned"]) == (96, 16, 6, 92)
    assert (counts["failed"]["count"], counts["diverged"]["count"], counts["errors"]) == (4, 2, 0)
    said = " ".join(comparison["summary"])
    assert (
        "96 runs of 120 updates each (task synthetic, model bert_tiny, optimizer adamw): 16 combinations at 6 seeds. "
        in said
    )
    assert "4 of 96 finished runs failed to learn, 2 of them by diverging. Of them, 2 were unstable (" in said
    assert "as good as the best, for each of 4 sets of arms: 12 updates (10 %)." in said
    assert comparison["headline"].startswith("Use about 10 % warmup. eval_loss is ")
    assert "Over lr 0.001 to 0.003 and warmup 0 to 50 %, lr explains " in said


def test_largest_lr_at_which_every_run_learned(comparison):
    found = {(row["scheduler"], row["warmup_steps"]): (row["lr"], row["at_edge"]) for row in comparison["largest_lr"]}
    assert found["warmuplinear", 0] == (1e-3, False)
    assert found["warmupcosine", 60] == (3e-3, True)


def test_paired_metrics_use_the_reference_run_of_the_same_seed(folder, table):
    traces = read_sweep(folder).traces
    ids = table.set_index(["arm", "seed"])["run_id"]
    references = table[(table["warmup_steps"] == 12) & (table["status"] == "completed") & ~table["failed_to_learn"]]
    target = np.median([half_way_loss(traces[run]["loss"], LN2) for run in references["run_id"]])
    for arm, seed in ((W0, 3), ("warmupcosine-w60 (50 %) lr=0.001", 5)):
        reference = re.sub(r"-w\d+ \(\d+ %\)", "-w12 (10 %)", arm)
        ours, theirs = (traces[ids[name, seed]]["loss"] for name in (arm, reference))
        row = table[(table["arm"] == arm) & (table["seed"] == seed)].iloc[0]
        assert row["excess"] == excess(ours, theirs)
        assert row["updates_to_target"] == updates_to_target(ours, target)
    assert (table.loc[table["arm"] == W12, "excess"] == 0).all()


@pytest.mark.usefixtures("without_pictures")
def test_paired_metrics_are_missing_unless_both_runs_learned(tmp_path):
    def outcome(strategy):
        reference_fails = strategy["warmup_steps"] == 12 and strategy["seed"] == 1
        return LEARNED_NOTHING if reference_fails else usual(strategy)

    report_sweep(make_sweep(tmp_path / "study", **ONE_LINE, outcome=outcome))
    table = pd.read_parquet(tmp_path / "study" / "results.parquet")
    assert table.loc[table["seed"] == 1, "excess"].isna().all()
    assert table.loc[table["seed"] != 1, "excess"].notna().all()


# --- files


def test_comparison_json_is_the_returned_comparison(folder, comparison):
    assert read_strict_json((folder / "comparison.json").read_text()) == comparison


@pytest.mark.usefixtures("without_pictures")
def test_second_report_differs_only_in_times(tmp_path):
    folder, again = make_sweep(tmp_path / "first" / "study", lrs=(1e-3,), seeds=3), tmp_path / "second" / "study"
    comparison = report_sweep(folder)
    shutil.copytree(folder, again)
    for path in again.glob("*/result.json"):
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"schema": 1, "speed": {"seconds": 7.0}}))
    found = report_sweep(again)
    assert {key: value for key, value in found.items() if key != "seconds"} == {
        key: value for key, value in comparison.items() if key != "seconds"
    }
    first, second = (pd.read_parquet(path / "results.parquet") for path in (folder, again))
    pd.testing.assert_frame_equal(first.drop(columns="seconds"), second.drop(columns="seconds"))
    kept = {name: (folder / name).read_bytes() for name in ("results.parquet", "comparison.json")}
    report_sweep(folder)
    assert kept == {name: (folder / name).read_bytes() for name in kept}


def test_every_figure_is_saved_as_png_and_svg(folder, comparison):  # noqa: ARG001
    names = {"failures", "usable_lr", "oscillation", "oscillation_detail", "quality", "learning_rate", "traces"}
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{end}" for name in names for end in ("png", "svg")
    }
    for name in names:
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        root = ElementTree.parse(folder / "figures" / f"{name}.svg").getroot()
        assert len(root.findall(".//{http://www.w3.org/2000/svg}path")) > 20


@pytest.mark.usefixtures("empty_pictures")
def test_figures_that_no_longer_apply_are_deleted(tmp_path):
    folder = make_sweep(tmp_path / "study", schedulers=("warmuplinear",), seeds=1, ratios=(0.0, 0.1))
    report_sweep(folder)
    assert (folder / "figures" / "learning_rate.png").exists()
    (folder / "figures" / "mine.png").write_bytes(b"kept")
    make_sweep(folder, **ONE_LINE, seeds=1, ratios=(0.0, 0.1))
    report_sweep(folder)
    assert {path.stem for path in (folder / "figures").iterdir()} == {
        "mine",
        "oscillation",
        "oscillation_detail",
        "quality",
        "traces",
    }


# --- sweeps with little to say


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({**ONE_LINE, "ratios": (0.1,)}, id="one arm"),
        pytest.param({**ONE_LINE, "ratios": (0.1,), "seeds": 1}, id="one run"),
        pytest.param({**ONE_LINE, "seeds": 1}, id="one seed"),
        pytest.param(
            {**ONE_LINE, "outcome": lambda _: Outcome("error", error="MemoryError: none left")}, id="all errors"
        ),
        pytest.param({**ONE_LINE, "outcome": lambda _: None}, id="nothing started"),
        pytest.param(
            {"schedulers": ("warmuplinear",), "seeds": 2, "outcome": lambda _: LEARNED_NOTHING}, id="nothing learned"
        ),
        pytest.param(
            {**ONE_LINE, "outcome": lambda _: Outcome("diverged", True, np.array([np.nan]))}, id="diverged at once"
        ),
        pytest.param({**ONE_LINE, "outcome": lambda _: Outcome("diverged", True, np.array([]))}, id="empty traces"),
        pytest.param(
            {**ONE_LINE, "outcome": lambda _: Outcome("diverged", True, np.array([0.7, 1e200, 1e308, np.nan]))},
            id="huge",
        ),
        pytest.param({**ONE_LINE, "total_steps": 1, "ratios": (0.0, 1.0), "seeds": 2}, id="one update"),
        pytest.param(
            {"seeds": 2, "schedulers": ("constantlr", "warmupconstant"), "ratios": (0.0, 0.1)}, id="constantlr"
        ),
    ],
)
def test_sweep_without_evidence_gets_no_verdict(arguments, tmp_path, capsys, request):
    if not {"one run", "huge", "one update"} & {request.node.callspec.id}:  # pictures of these are enough
        request.getfixturevalue("without_pictures")
    found = report_sweep(make_sweep(tmp_path / "study", **arguments))
    values = {arm["verdict"]["value"] for arm in found["arms"]}
    assert values <= {"reference", "no_reference", "inconclusive", "both_fail", "preliminary"}
    page = (tmp_path / "study" / "report.html").read_text()
    assert found["headline"] in page.replace("&#39;", "'")
    assert found["headline"] in capsys.readouterr().out
    read_strict_json((tmp_path / "study" / "comparison.json").read_text())


@pytest.mark.usefixtures("without_pictures")
def test_runs_that_did_not_finish_are_named_with_the_reason(tmp_path, capsys):
    def outcome(strategy):
        broken = strategy["warmup_steps"] == 3 and strategy["seed"] == 2
        return Outcome("error", error="RuntimeError: out of memory") if broken else usual(strategy)

    found = report_sweep(make_sweep(tmp_path / "study", **ONE_LINE, outcome=outcome))
    (error,) = found["errors"]
    assert (error["arm"], error["seed"], error["error"]) == ("warmuplinear-w3 (2 %)", 2, "RuntimeError: out of memory")
    assert "1 run ended in an error and is excluded" in " ".join(found["summary"])
    said = capsys.readouterr().out
    assert f"{error['run_id']} (warmuplinear-w3 (2 %), seed 2): RuntimeError: out of memory" in said
    assert "RuntimeError: out of memory" in (tmp_path / "study" / "report.html").read_text()
    arm = arm_of(found, "warmuplinear-w3 (2 %)")
    assert (arm["num_runs"], arm["num_errors"], arm["failed"]["total"]) == (6, 1, 5)


# --- the stated question


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        ({"metric": "roughnes"}, r"unknown metric 'roughnes'; did you mean 'roughness'"),
        ({"metric": "eval_f1"}, "unknown metric 'eval_f1'"),
        ({"reference": "warmuplinear-w13"}, "no arm is called 'warmuplinear-w13'; did you mean"),
        ({"reference": "warmuplinear-w12"}, "matches several arms: .*lr=0.001, .*lr=0.003"),
    ],
)
def test_unknown_metric_or_reference_is_an_error_with_a_suggestion(compare, message, tmp_path):
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
@pytest.mark.usefixtures("without_pictures")
def test_any_metric_can_be_the_primary_one(metric, column, tmp_path):
    found = report_sweep(make_sweep(tmp_path / "study", **ONE_LINE, compare={"metric": metric, "margin": None}))
    assert found["primary"]["metric"] == column
    assert column in found["headline"]
    assert column not in [other["metric"] for other in found["oscillation"]]
    shorter, longer = (arm_of(found, f"warmuplinear-{name}")["verdict"]["value"] for name in ("w0 (0 %)", "w60 (50 %)"))
    # With 6 pairs, a rank test cannot pass a Holm step: its smallest p is 1/32. The trend over 6 seeds decides.
    assert (shorter, longer) == ("worse" if metric == "eval_accuracy" else "inconclusive", "inconclusive")
    (trend,) = found["trends"]
    assert trend["of"] == "metric"
    assert trend["p_adjusted"] < 0.05
    assert (trend["z"] > 0) == (metric == "eval_accuracy")


@pytest.mark.usefixtures("without_pictures")
def test_reference_can_be_stated_by_its_short_name(tmp_path):
    found = report_sweep(make_sweep(tmp_path / "study", lrs=(1e-3,), compare={"reference": "warmuplinear-w0"}))
    assert found["primary"]["reference"] == "warmuplinear-w0 (0 %)"
    assert {arm["verdict"]["reference"] for arm in found["arms"]} == {"warmuplinear-w0 (0 %)"}
    assert arm_of(found, "warmupcosine-w60 (50 %)")["verdict"]["value"] == "better"


def test_the_largest_figures_are_drawn_first_and_listed_in_their_order(tmp_path, monkeypatch):
    """Large ones are converted in processes of their own, before this one holds the engine that converts the others."""
    drawn = []
    monkeypatch.setattr(build, "save_figure", lambda _, path: drawn.append(path.name))
    figures = [SimpleNamespace(name=name, rows=rows, num_data=size)
               for name, rows, size in [("small", [1], 5), ("empty", [], 0), ("large", [1], 9000)]]  # fmt: skip
    (tmp_path / "empty.png").touch()
    assert [path.name for path in build._save_figures(figures, tmp_path)] == ["small.png", "large.png"]
    assert drawn == ["large", "small"]
    assert not list(tmp_path.iterdir())
