"""The commands of the page can be pasted into a shell."""

import shlex

import pytest
from fake_sweep import write_sweep
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from program import ROOT

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.table import read_sweep
from warmup_lab.config.parse import resolve
from warmup_lab.plan import make_plan
from warmup_lab.report.commands import report_command, run_command
from warmup_lab.sweeps.cells import Grid
from warmup_lab.sweeps.jobs import Job


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
    assert run_command(comparison) == f"{run} 'task.text_columns=[a,b]' seed=0 num_threads=1"
    assert report_command(comparison, "runs/my study") == f"{report} 'runs/my study'"
    assert shlex.split(run_command(comparison))[-3:] == [*overrides, "num_threads=1"]


@pytest.mark.parametrize(
    ("flag", "kept"), [("--config-dir 'my conf'", "--config-dir 'my conf'"), ("-cd=conf", "-cd=conf"), ("-m", "")]
)
def test_a_folder_of_own_options_is_kept(flag, kept):
    comparison = {"command": f"python train.py {flag} seed=0,1", "example_overrides": ["seed=0", "num_threads=2"]}
    assert run_command(comparison).split() == f"python train.py {kept} seed=0 num_threads=2".split()


@pytest.mark.parametrize(
    "words",
    [
        ["warmup_ratio=0.1", "seed=0,1"],
        ["scheduler=constantlr,warmuplinear", "warmup_ratio=0.1,0.2", "seed=0,1"],
        ["num_threads=2", "'optimizer.betas=[0.9,0.95],[0.9,0.99]'"],
    ],
)
def test_the_command_of_one_run_is_that_run(words, monkeypatch, tmp_path):
    """The command, read by a shell, is planned as a run of its own and has the id of the run in the sweep."""
    monkeypatch.chdir(tmp_path)
    shell = shlex.split(" ".join(["task=synthetic_small", "max_steps=20", "tracking=none", *words]))
    grid = Grid(OverridesParser.create().parse_overrides(shell))
    jobs = []
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for cell in grid.ask():
            plan = make_plan(resolve(compose("config", cell), multirun=True), multirun=True)
            jobs.append(Job(cell, plan.run_id, plan.name, plan.arm_id, plan.strategy(), plan.requested_warmup))
        write_sweep(tmp_path, jobs, lambda _: None)
        found = build_comparison(read_sweep(tmp_path))[1]
        alone = make_plan(resolve(compose("config", shlex.split(run_command(found))[2:])))
    assert alone.run_id == next(job.run_id for job in jobs if job.overrides == found["example_overrides"])
