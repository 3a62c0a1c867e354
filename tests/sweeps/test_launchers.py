"""The launchers: Hydra's own suites, one by one and grouped, and sweeps as users run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite
from hydra.version import VersionBase
from packaging.version import Version
from program import ROOT, SMALL

from warmup_lab.cli.compose import compose_plan
from warmup_lab.plan import Plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.sweeps import launchers
from warmup_lab.training import loop


@pytest.fixture(autouse=True)
def _batch_functions_can_be_imported(monkeypatch):
    """By the programs that Hydra's suites start, too."""
    paths = [str(ROOT / "tests" / "support"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.fixture(autouse=True)
def _defaults_of_the_suites():
    """Those of Hydra 1.1, whatever another test of this process asked for: they decide where a job runs."""
    base = VersionBase.instance()
    before = base.getbase()
    base.setbase(Version("1.1"))
    yield
    base.version_base = before


# The suites' own programs ask for no version of Hydra's defaults.
OLD_DEFAULTS = pytest.mark.filterwarnings("ignore:.*Future Hydra versions:UserWarning")
BATCHES = ["job_groups.all_together", "job_groups.one_by_one"]


def test_hydra_finds_both_launchers():
    names = {launcher.__name__ for launcher in Plugins.instance().discover(Launcher)}
    assert {"PackedLauncher", "FastestLauncher"} <= names


@OLD_DEFAULTS
@pytest.mark.parametrize("launcher_name", ["packed"])
@pytest.mark.parametrize("overrides", [[f"hydra.launcher.batch={batch}"] for batch in BATCHES])
class TestPackedLauncher(LauncherTestSuite):
    @pytest.fixture(autouse=True)
    def _own_list(self, overrides):  # the suite appends to the parameter
        before = list(overrides)
        yield
        overrides[:] = before


@OLD_DEFAULTS
@pytest.mark.parametrize("launcher_name", ["packed"])
@pytest.mark.parametrize(
    "overrides",
    [[f"hydra.launcher.batch={batch}", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"] for batch in BATCHES],
)
class TestPackedLauncherInBatches(BatchedSweeperTestSuite): ...


@OLD_DEFAULTS
@pytest.mark.parametrize("extra_flags", [["-m", f"hydra.launcher.batch={batch}"] for batch in BATCHES])
@pytest.mark.parametrize(
    "task_launcher_cfg",
    [{"defaults": [{"override hydra/launcher": "packed"}, {"override hydra/job_logging": "disabled"}]}],
)
class TestPackedLauncherIntegration(IntegrationTestSuite): ...


# ------------------------------------------------------------------------------------------- sweeps of `train.py`

GRID = (*SMALL, "device=cpu", "-m", "model.num_layers=1", "model.hidden_size=32", "model.dropout=0", "eval_every=null",
        "study=try", "hydra/launcher=packed")  # fmt: skip


def command(*args: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *args]


def plan_of(*args: str) -> Plan:
    """The run of the cell of a multirun with these overrides."""
    return compose_plan([word for word in args if word != "-m" and not word.startswith("hydra")])


def table(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "runs" / "try" / "results.parquet").set_index("run_id").sort_index()


def logs(folder: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in folder.glob("runs/try/*/train.log")}


def test_a_sweep_of_two_optimizers_is_two_groups_and_a_bad_job_costs_the_others_nothing(train_py, tmp_path):
    """Three adamw runs, of which one cannot write its trace, and three radam runs, each alone; then `force`."""
    grid = (*GRID, "epochs=1", "optimizer=adamw,radam", "seed=range(3)")
    blocked = tmp_path / "runs" / "try" / plan_of(*grid[:-2], "optimizer=adamw", "seed=1").run_id
    (blocked / "trace.parquet").mkdir(parents=True)
    done = train_py(*grid)
    assert done.returncode != 0
    assert "1 run failed" in done.stderr
    runs = table(tmp_path)
    assert dict(runs.groupby(["optimizer", "status"]).size()) == {
        ("adamw", "completed"): 2, ("adamw", "error"): 1, ("radam", "completed"): 3,
    }  # fmt: skip
    said = {run: "trained together with 2 other runs in one process" in text for run, text in logs(tmp_path).items()}
    assert {run for run, packed in said.items() if packed} == set(
        runs[(runs.optimizer == "adamw") & (runs.status == "completed")].index
    )
    assert blocked.name in (tmp_path / "runs" / "try" / "report.html").read_text()
    for folder in (tmp_path / "runs" / "try").glob("*/.hydra"):
        assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "hydra.yaml", "overrides.yaml"]
    (blocked / "trace.parquet").rmdir()
    before = StepTable.read(tmp_path / "runs" / "try" / runs.index[0] / "trace.parquet").to_lists()
    again = train_py(*grid, "force=true")
    assert again.returncode == 0, again.stderr
    assert "6 to train" in again.stderr
    assert set(table(tmp_path).status) == {"completed"}
    assert StepTable.read(tmp_path / "runs" / "try" / runs.index[0] / "trace.parquet").to_lists() == before
    third = train_py(*grid)
    assert "6 finished already, 0 to train" in third.stderr


def test_ctrl_c_saves_every_run_and_the_same_command_ends_as_if_trained_alone_and_never_stopped(train_py, tmp_path):
    """Also after `kill -9`, from the periodic checkpoints."""
    grid = (*GRID, "epochs=12", "checkpoint_every=5", "seed=range(3)")  # 60 updates
    for number, status in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        had = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/try/*/checkpoint/state.pt")}
        process = subprocess.Popen(
            command(*grid), cwd=tmp_path, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            paths = list(tmp_path.glob("runs/try/*/checkpoint/state.pt"))
            if len(paths) == 3 and all(had.get(path) != path.stat().st_mtime_ns for path in paths):
                break
            time.sleep(0.01)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == status, stderr
        assert len(list(tmp_path.glob("runs/try/*/checkpoint/state.pt"))) == 3
        assert not list(tmp_path.glob("runs/try/*/result.json"))
    assert "of 60; the same command goes on from there" in stderr
    done = train_py(*grid)
    assert done.returncode == 0, done.stderr
    for path in tmp_path.glob("runs/try/*/result.json"):
        assert len(json.loads(path.read_text())["resumed_at"]) == 2
    for seed in range(3):
        plan = plan_of(*grid[:-1], f"seed={seed}")
        loop.train(plan, tmp_path / "alone" / plan.run_id, show_progress=False)
        traces = [StepTable.read(tmp_path / folder / plan.run_id / "trace.parquet") for folder in ("runs/try", "alone")]
        np.testing.assert_allclose(traces[0].array("loss"), traces[1].array("loss"), rtol=1e-5)


@pytest.mark.parametrize(
    ("device", "cores", "jobs", "launcher", "words"),
    [
        ("cuda", 16, 64, "PackedLauncher", "runs of one shape together in one process, since there is a GPU"),
        ("cpu", 2, 64, "JoblibLauncher", "2 processes, one a core, since there is no GPU"),
        ("cpu", 8, 3, "JoblibLauncher", "3 processes, one a core, since there is no GPU"),
        ("cpu", 1, 64, "BasicLauncher", "one run after the other, since there is no GPU and one core"),
        ("mps", 8, 64, "BasicLauncher", "one run after the other, since they share the device mps"),
        ("cuda", 8, 1, "BasicLauncher", "one run after the other, since there is one"),
    ],
)
def test_what_is_fastest_on_which_machine(device, cores, jobs, launcher, words):
    chosen, said = launchers._choose(device, cores, jobs)
    assert (type(chosen).__name__, said) == (launcher, words)


def test_fastest_says_what_it_does_and_trains_every_run(train_py, tmp_path):
    done = train_py(*GRID[:-1], "epochs=1", "seed=range(2)", "hydra/launcher=fastest")
    assert done.returncode == 0, done.stderr
    assert "fastest on this machine: " in done.stderr
    assert list(table(tmp_path).status) == ["completed"] * 2
