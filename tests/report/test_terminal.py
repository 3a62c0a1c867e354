"""The report in the terminal, and `python -m warmup_lab.report`."""

import sys

import pytest
from fake_arms import failures, make_arm, metric
from program import run

from warmup_lab.report.terminal import closing_lines, error_lines, short_names, table_lines

REPORT = [sys.executable, "-m", "warmup_lab.report"]


def comparison_of(arms, errors=()):
    """What the terminal reads of `comparison.json`."""
    return {
        "primary": {"metric": "eval_loss"},
        "arms": arms,
        "headline": "Use 10 %.",
        "summary": ["One.", "Two."],
        "errors": list(errors),
    }


def error(number):
    return {"run_id": f"id{number}", "arm": "a", "seed": number, "error": "MemoryError"}


def test_table_has_a_row_per_arm():
    reference = make_arm(
        10, name="w10", num_runs=6, verdict={"value": "reference"}, metrics={"eval_loss": metric(0.25, 0.2, 0.3)}
    )
    other = make_arm(
        0, name="w0", num_runs=6, num_learned=4, failed=failures(2, 6), verdict={"value": "fails_more"},
        metrics={"eval_loss": metric(0.5, difference=0.25, difference_interval=[0.1, 0.4])},
    )  # fmt: skip
    assert table_lines(comparison_of([reference, other])) == [
        "arm  learned  eval_loss (95 %)  minus reference (95 %)  verdict",
        "-" * 66,
        "w10  6/6      0.25 [0.2, 0.3]                           reference",
        "w0   4/6      0.5               +0.25 [+0.1, +0.4]      fails more",
        "eval_loss is that of the runs that learned; a run that failed ranks worst in the test",
    ]


def test_table_counts_all_seeds_if_known_and_shows_failures_of_several_arms():
    of_all = {"mean_of_all": 0.6, "interval_of_all": [0.5, 0.7]}
    difference = {"difference_of_all": 0.1234, "difference_interval_of_all": [0.01, 0.2]}
    arms = [
        make_arm(10, name="w10", num_runs=6, failed=failures(1, 6), metrics={"eval_loss": metric(0.5, **of_all)}),
        make_arm(
            0, name="w0", num_runs=7, failed=failures(2, 6), metrics={"eval_loss": metric(0.5, **of_all, **difference)}
        ),
    ]
    assert table_lines(comparison_of(arms)) == [
        "arm  runs  failed  eval_loss (95 %)  minus reference (95 %)  verdict",
        "-" * 71,
        "w10  6     1/6     0.6 [0.5, 0.7]                            equivalent",
        "w0   7     2/6     0.6 [0.5, 0.7]    +0.12 [+0.01, +0.2]     equivalent",
        "eval_loss counts all seeds: a run that failed to learn counts as guessing",
    ]


LONG = "warmupconstant-w{} ({} %) lr=0.0028 optimizer.bias_correction={}"


@pytest.mark.parametrize(
    ("extra", "num_names"), [("", 4), (" optimizer.weight_decay=0.01", 4), (" model.dropout=0.1" * 6, 2)]
)
def test_table_is_at_most_100_columns_wide(extra, num_names):
    """Names that are still too long lose their middle."""
    of_all = {"mean_of_all": 0.12345, "interval_of_all": [0.012345, 0.912345], "difference_of_all": -0.000412345}
    found = metric(0.5, **of_all, difference_interval_of_all=[-0.000712345, 0.0001612345])
    names = [
        LONG.format(steps, percent, value) + extra for steps, percent in ((0, 0), (35, 10)) for value in (True, False)
    ]
    arms = [make_arm(0, name=name, num_runs=6, metrics={"eval_loss": found}) for name in names]
    lines = table_lines(comparison_of(arms))
    assert max(map(len, lines)) <= 100
    assert len({line.partition("  ")[0] for line in lines[2:]}) == num_names


def test_short_names():
    names = [LONG.format(0, 0, True), LONG.format(35, 10, False)]
    assert short_names(names) == ["0 % lr=0.0028 bias_correction=True", "10 % lr=0.0028 bias_correction=False"]
    assert short_names(["warmuplinear-w0 (0 %)", "warmupcosine-w0 (0 %)"]) == ["warmuplinear-0 %", "warmupcosine-0 %"]
    assert short_names(["warmuplinear-w36", "warmuplinear-w36 (10 %)"]) == ["w36", "10 %"]


def test_table_of_many_arms_is_cut():
    arm = make_arm(10, num_runs=6, metrics={"eval_loss": metric(0.25)})
    lines = table_lines(comparison_of([arm] * 63))
    assert len(lines) == 2 + 60 + 1, "no run failed, so there is no note"
    assert lines[-1] == "3 more arms in the report"
    assert table_lines(comparison_of([arm] * 61))[-1] == "1 more arm in the report"


def test_closing_lines_are_headline_and_sentences():
    assert closing_lines(comparison_of([])) == ["Use 10 %.", "One.", "Two."]


def test_at_most_five_runs_that_did_not_finish_are_named():
    assert error_lines(comparison_of([])) == []
    assert error_lines(comparison_of([], [error(1)])) == ["1 run did not finish:", "  id1 (a, seed 1): MemoryError"]
    lines = error_lines(comparison_of([], map(error, range(7))))
    assert lines[0] == "7 runs did not finish:"
    assert lines[-2:] == ["  id4 (a, seed 4): MemoryError", "  2 more in the report"]


def test_command_rebuilds_a_report(folder, comparison):
    done = run([*REPORT, str(folder)])
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["arm", "failed", "eval_loss"]
    (row,) = (line for line in lines if line.startswith("warmuplinear-0 % lr=0.003"))
    assert "2/6" in row
    assert row.endswith("inconclusive")
    last = lines[lines.index(f"report: {folder / 'report.html'}") + 1 :]
    assert last == ["", comparison["headline"], *comparison["summary"]]
    assert done.stderr == ""


def test_command_refuses_a_folder_without_a_sweep(tmp_path):
    done = run([*REPORT, str(tmp_path)])
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "holds no sweep.json" in done.stderr
    assert "Traceback" not in done.stderr
