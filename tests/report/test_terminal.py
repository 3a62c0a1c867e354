"""The report in the terminal, and `python -m warmup_lab.report`."""

import os
import re
import sys

import pytest
from fake_arms import failures, make_arm, metric
from program import run_here

from warmup_lab.report.terminal import (
    closing_lines,
    error_lines,
    note_lines,
    report_text,
    short_names,
    table_lines,
    trial_lines,
)

REPORT = [sys.executable, "-m", "warmup_lab.report"]


def comparison_of(arms, errors=()):
    """What the terminal reads of `comparison.json`."""
    return {
        "primary": {"metric": "eval_loss"},
        "arms": arms,
        "headline": "Use 10 %.",
        "summary": ["One.", "Two."],
        "errors": list(errors),
        "looks": {"planned": []},
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
    ]
    assert note_lines(comparison_of([reference, other])) == [
        "eval_loss is that of the runs that learned; a run that failed ranks worst in the test"
    ]


def test_intervals_are_explained_only_where_there_are_some():
    reference = make_arm(10, name="w10", num_runs=6, verdict={"value": "reference"}, metrics={"eval_loss": metric(0.2)})
    planned = {"looks": {"planned": [6, 12]}}
    assert note_lines(comparison_of([reference]) | planned) == []  # as with one seed
    paired = metric(0.5) | {"difference_interval": [0.1, 0.4]}
    other = make_arm(0, name="w0", num_runs=6, verdict={"value": "worse"}, metrics={"eval_loss": paired})
    (note,) = note_lines(comparison_of([reference, other]) | planned)
    assert note.startswith("intervals of differences hold at all planned looks")
    assert note_lines(comparison_of([]) | planned) == []


def test_before_a_run_has_ended_there_is_no_table():
    waiting = make_arm(10, name="w10", num_runs=6, failed=failures(0, 0), metrics={"eval_loss": metric(None)})
    assert table_lines(comparison_of([waiting])) == []


def test_two_runs_give_no_interval():
    """Seen: 0.5881 [-0.2612, 1.437], although no loss is below 0."""
    of_two = metric(0.6, -0.3, 1.4) | {"num_runs": 2}
    arm = make_arm(10, name="w10", num_runs=2, num_learned=2, failed=failures(0, 2), metrics={"eval_loss": of_two})
    (header, _, row) = table_lines(comparison_of([arm]))
    assert "95 %" not in header
    assert "[" not in row


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
    ]
    assert note_lines(comparison_of(arms)) == [
        "eval_loss counts all seeds: a run that failed to learn counts as guessing"
    ]


LONG = "warmupconstant-w{} ({} %) lr=0.0028 optimizer.bias_correction={}"


def wide_arms(extra):
    of_all = {"mean_of_all": 0.12345, "interval_of_all": [0.012345, 0.912345], "difference_of_all": -0.000412345}
    found = metric(0.5, **of_all, difference_interval_of_all=[-0.000712345, 0.0001612345])
    names = [
        LONG.format(steps, percent, value) + extra for steps, percent in ((0, 0), (35, 10)) for value in (True, False)
    ]
    return [make_arm(0, name=name, num_runs=6, metrics={"eval_loss": found}) for name in names]


@pytest.mark.parametrize(
    ("extra", "num_names"), [("", 4), (" optimizer.weight_decay=0.01", 4), (" model.dropout=0.1" * 6, 2)]
)
def test_table_is_at_most_100_columns_wide(extra, num_names):
    """Names that are still too long lose their middle."""
    lines = table_lines(comparison_of(wide_arms(extra)))
    assert max(map(len, lines)) <= 100
    assert len({line.partition("  ")[0] for line in lines[2:]}) == num_names


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (120, ["arm", "learned", "eval_loss (95 %)", "minus reference (95 %)", "verdict"]),
        (95, ["arm", "learned", "eval_loss", "minus reference (95 %)", "verdict"]),
        (70, ["arm", "learned", "eval_loss", "minus reference", "verdict"]),
        (60, ["arm", "learned", "eval_loss", "verdict"]),
    ],
)
def test_a_narrower_terminal_leaves_out_the_least_important_columns(width, header):
    lines = table_lines(comparison_of(wide_arms("")), width)
    assert max(map(len, lines)) <= width
    assert re.split(r" {2,}", lines[0]) == header


def test_short_names():
    names = [LONG.format(0, 0, True), LONG.format(35, 10, False)]
    assert short_names(names) == ["0 % lr=0.0028 bias_correction=True", "10 % lr=0.0028 bias_correction=False"]
    assert short_names(["warmuplinear-w0 (0 %)", "warmupcosine-w0 (0 %)"]) == ["warmuplinear-0 %", "warmupcosine-0 %"]
    assert short_names(["warmuplinear-w36", "warmuplinear-w36 (10 %)"]) == ["w36", "10 %"]


def test_table_of_many_arms_is_cut():
    arm = make_arm(10, num_runs=6, metrics={"eval_loss": metric(0.25)})
    lines = table_lines(comparison_of([arm] * 63))
    assert len(lines) == 2 + 60
    assert note_lines(comparison_of([arm] * 63)) == ["3 more arms in the report"], "no run failed"
    assert note_lines(comparison_of([arm] * 61)) == ["1 more arm in the report"]


COMMAND = "python train.py -m 'seed=range(12)'"
ADVICE = {
    "sentence": "Use lr 0.001.",
    "unsure": ["Preliminary: 1 of 2 runs ended.", "Few seeds.", "lr 0.001 is the largest."],
    "next_command": COMMAND,
    "train_command": None,
}


def test_closing_lines_are_headline_and_sentences():
    assert closing_lines(comparison_of([])) == ["Use 10 %.", "One.", "Two."]


def test_closing_lines_say_what_is_recommended_and_end_with_a_command_on_its_own_line():
    assert closing_lines(comparison_of([]) | {"recommendation": ADVICE}) == [
        "Use 10 %.", "Use lr 0.001.", "Not sure: few seeds.", "Not sure: lr 0.001 is the largest.", "One.", "Two.",
        "To run next:", f"  {COMMAND}",
    ]  # fmt: skip


def test_a_command_inside_a_sentence_gets_its_own_line_and_is_not_repeated():
    told = {"headline": "Use lr 0.001.", "summary": [f"To be surer: {COMMAND}"], "recommendation": ADVICE}
    lines = closing_lines(comparison_of([]) | told)
    assert lines[-2:] == ["To be surer:", f"  {COMMAND}"]
    assert lines.count("Use lr 0.001.") == 1


def test_the_training_with_an_unfinished_answer_comes_before_the_next_command():
    train = "python train.py optimizer.lr=0.001 save_model=true"
    lines = closing_lines(comparison_of([]) | {"recommendation": ADVICE | {"train_command": train}})
    assert lines[-4:] == ["To train one model with this answer now:", f"  {train}", "To run next:", f"  {COMMAND}"]


SEARCH = {
    "objective": "eval_loss",
    "direction": "minimize",
    "best": {"command": "python train.py lr=0.1"},
    "trials": [
        {"number": number, "value": value, "state": state, "params": {"optimizer.lr": 10.0**-number, "model": "bert"}}
        for number, (value, state) in enumerate(
            [(0.5, "completed"), (None, "failed"), (0.25, "completed"), (None, "error")]
        )
    ],
}


def test_a_search_has_a_table_of_its_best_trials():
    assert trial_lines(SEARCH) == [
        "trial  eval_loss        lr     model",
        "-" * 36,
        "2      0.25             0.01   bert",
        "0      0.5              1      bert",
        "1      failed to learn  0.1    bert",
        "3      error            0.001  bert",
    ]
    upwards = SEARCH | {"direction": "maximize"}
    assert [line[0] for line in trial_lines(upwards)[2:]] == ["0", "2", "1", "3"]


def test_a_table_of_trials_is_as_narrow_as_asked():
    many = [{**SEARCH["trials"][0], "params": {f"group.parameter_{key}": 0.123 for key in range(9)}}] * 12
    lines = trial_lines(SEARCH | {"trials": many}, 60)
    assert max(map(len, lines)) <= 60
    assert lines[-1] == "2 more trials in the report"


def test_a_search_ends_with_the_commands_for_its_best_trial():
    lines = closing_lines(comparison_of([]) | {"recommendation": ADVICE, "search": SEARCH})
    assert lines == [
        "Use 10 %.", "Not sure: few seeds.", "Not sure: lr 0.001 is the largest.", "One.", "Two.",
        "To train the best trial alone:", "  python train.py lr=0.1",
        "To confirm it at other seeds:", f"  {COMMAND}",
    ]  # fmt: skip


def test_on_a_terminal_sentences_are_wrapped_and_commands_are_not(monkeypatch, tmp_path):
    comparison = comparison_of(wide_arms("")) | {"summary": ["word " * 40], "recommendation": ADVICE}
    comparison["recommendation"] = ADVICE | {"next_command": f"{COMMAND} {'key=value ' * 20}".strip()}
    monkeypatch.chdir(tmp_path)
    assert "word " * 40 in report_text(comparison, tmp_path / "runs" / "report.html")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((70, 40)))
    lines = report_text(comparison, tmp_path / "runs" / "report.html").splitlines()
    assert [line for line in lines if len(line) > 70] == [f"  {comparison['recommendation']['next_command']}"]
    assert "report: runs/report.html" in lines, "relative, since it is under the working directory"
    elsewhere = tmp_path / ".." / "report.html"
    assert f"report: {tmp_path.parent}/report.html" in report_text(comparison, elsewhere).splitlines()


def test_at_most_five_runs_that_did_not_finish_are_named():
    assert error_lines(comparison_of([])) == []
    assert error_lines(comparison_of([], [error(1)])) == ["1 run did not finish:", "  id1 (a, seed 1): MemoryError"]
    lines = error_lines(comparison_of([], map(error, range(7))))
    assert lines[0] == "7 runs did not finish:"
    assert lines[-2:] == ["  id4 (a, seed 4): MemoryError", "  2 more in the report"]


@pytest.mark.usefixtures("without_pictures")
def test_command_rebuilds_a_report(folder, comparison, tmp_path):
    done = run_here([*REPORT[1:], str(folder)], cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["arm", "failed", "eval_loss"]
    (row,) = (line for line in lines if line.startswith("warmuplinear-0 % lr=0.003"))
    assert "2/6" in row
    assert row.endswith("inconclusive")
    last = lines[lines.index(f"report: {folder / 'report.html'}") + 1 :]
    assert last == ["", *closing_lines(comparison)]
    assert set(comparison["summary"]) <= set(last)
    assert done.stderr == ""


def test_command_refuses_a_folder_without_a_sweep(tmp_path):
    done = run_here([*REPORT[1:], str(tmp_path)], cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "holds no sweep.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_notes_stand_between_the_headline_and_its_sentences():
    notes = [
        {"text": "This covers 2 of 8.", "command": "python train.py 'seed=range(8)'"},
        {"text": "Mixed.", "command": None},
    ]
    assert closing_lines(comparison_of([]) | {"notes": notes})[:4] == [
        "Use 10 %.", "Note: This covers 2 of 8.", "  python train.py 'seed=range(8)'", "Note: Mixed."
    ]  # fmt: skip


def test_results_that_cannot_be_used_are_named_and_runs_that_wait_are_not():
    run = {"run_id": "0123456789ab", "arm": "w36", "seed": 1}
    lost = [run | {"error": "damaged: result.json is empty"}, run | {"error": "interrupted, or not started: no result"}]
    lines = error_lines(comparison_of([]) | {"unfinished": lost})
    assert lines == ["1 run did not finish:", "  0123456789ab (w36, seed 1): damaged: result.json is empty"]
