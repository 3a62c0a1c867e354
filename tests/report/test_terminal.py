"""The report in the terminal, and `python -m warmup_lab.report`."""

import sys

from fake_arms import failures, make_arm, metric
from program import run

from warmup_lab.report.terminal import closing_lines, table_lines

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
        "arm  runs  learned  eval_loss (95 %)  minus reference (95 %)  verdict",
        "-" * 72,
        "w10  6     6/6      0.25 [0.2, 0.3]                           reference",
        "w0   6     4/6      0.5               +0.25 [+0.1, +0.4]      fails more",
    ]


def test_table_of_many_arms_is_cut():
    arm = make_arm(10, num_runs=6, metrics={"eval_loss": metric(0.25)})
    lines = table_lines(comparison_of([arm] * 63))
    assert len(lines) == 2 + 60 + 1
    assert lines[-1] == "3 more arms in the report"
    assert table_lines(comparison_of([arm] * 61))[-1] == "1 more arm in the report"


def test_closing_lines_are_headline_and_sentences():
    assert closing_lines(comparison_of([])) == ["Use 10 %.", "One.", "Two."]


def test_closing_lines_name_five_runs_that_did_not_finish():
    assert closing_lines(comparison_of([], [error(1)]))[3:] == [
        "1 run did not finish:",
        "  id1 (a, seed 1): MemoryError",
    ]
    lines = closing_lines(comparison_of([], map(error, range(7))))
    assert lines[3] == "7 runs did not finish:"
    assert lines[-2:] == ["  id4 (a, seed 4): MemoryError", "  2 more in the report"]


def test_command_rebuilds_a_report(folder, comparison):
    done = run([*REPORT, str(folder)])
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["arm", "runs", "learned"]
    (row,) = (line for line in lines if line.startswith("warmuplinear-w0 (0 %) lr=0.003"))
    assert "4/6" in row
    assert row.endswith("inconclusive")
    assert comparison["headline"] in lines
    assert lines[-1] == f"report: {folder / 'report.html'}"
    assert done.stderr == ""


def test_command_refuses_a_folder_without_a_sweep(tmp_path):
    done = run([*REPORT, str(tmp_path)])
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "holds no sweep.json" in done.stderr
    assert "Traceback" not in done.stderr
