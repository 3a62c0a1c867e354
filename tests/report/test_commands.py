"""The commands of the page can be pasted into a shell."""

import shlex

import pytest

from warmup_lab.report.commands import report_command, run_command


@pytest.mark.parametrize(
    ("command", "run", "report"),
    [
        ("python train.py -m seed=0,1", "python train.py", "python -m warmup_lab.report"),
        ("bin/python ../train.py seed=0,1 -m", "bin/python ../train.py", "bin/python -m warmup_lab.report"),
        ("warmup-lab train -m seed=0,1", "warmup-lab train", "warmup-lab report"),
        ("", "python train.py", "python -m warmup_lab.report"),
    ],
)  # fmt: skip
def test_commands_call_the_program_that_started_the_sweep(command, run, report):
    overrides = ["task.text_columns=[a,b]", "seed=0"]
    comparison = {"command": command, "example_overrides": overrides}
    assert run_command(comparison) == f"{run} 'task.text_columns=[a,b]' seed=0"
    assert report_command(comparison, "runs/my study") == f"{report} 'runs/my study'"
    assert shlex.split(run_command(comparison))[-2:] == overrides
