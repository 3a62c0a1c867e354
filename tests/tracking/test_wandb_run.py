"""How a W&B run is opened: what it collects, its id, online or offline. With the real wandb client."""

from __future__ import annotations

import signal
import sys
from dataclasses import fields
from pathlib import Path

import program
import pytest
import yaml
from wandb_offline import (
    NAME,
    RUN_ID,
    OfflineRun,
    assert_anonymous,
    offline_runs,
    only_offline_run,
    start,
    update_row,
    wandb_row,
)

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.tracking.wandb_run import wandb_id


def test_nothing_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOME_SECRET", "a-secret-of-the-environment")
    monkeypatch.chdir(program.ROOT)  # a git repository
    tracker = start(tmp_path)
    print("a line on the console")
    tracker.log(update_row(0))
    tracker.finish({})

    assert capfd.readouterr() == ("a line on the console\n", "")
    found = only_offline_run(tmp_path)
    kinds = {record.WhichOneof("record_type") for record in found.records}
    assert kinds == {"header", "run", "telemetry", "metric", "summary", "history", "exit"}
    assert not found.run.HasField("git")
    assert found.run.host in ("", "anon")
    assert list((found.folder / "files").iterdir()) == []
    assert_anonymous(next(found.folder.glob("*.wandb")).read_bytes())


def test_the_same_run_in_two_sweeps_has_two_ids(tmp_path: Path) -> None:
    for group in ("one", "two", None):
        start(tmp_path, group=group).finish({})
    assert len({found.run.run_id for found in offline_runs(tmp_path)}) == 3


def test_the_id_of_an_agent_is_used_only_in_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "agent-0")
    assert wandb_id("0123456789ab", None) == "0123456789ab"
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    assert wandb_id("0123456789ab", None) == "agent-0"


# -------------------------------------------------------------------------------------------------------- environment

VARIABLES = {
    "WANDB_PROJECT": "mine",
    "WANDB_ENTITY": "team",
    "WANDB_NAME": "try1",
    "WANDB_RUN_GROUP": "friday",
    "WANDB_JOB_TYPE": "ablation",
    "WANDB_NOTES": "with the new data",
    "WANDB_TAGS": "paper,draft",
}


def recorded(run: OfflineRun) -> dict[str, object]:
    """What a run was started with, by the variable that sets it."""
    record = run.run
    names = ("project", "entity", "display_name", "run_group", "job_type", "notes")
    values: dict[str, object] = {
        variable: getattr(record, name) for variable, name in zip(VARIABLES, names, strict=False)
    }
    return values | {"WANDB_TAGS": ",".join(record.tags)}


def test_without_variables_the_defaults_hold(tmp_path: Path) -> None:
    start(tmp_path, tags=("sst2", "")).finish({})
    assert recorded(only_offline_run(tmp_path)) == {
        "WANDB_PROJECT": "warmup-lab",
        "WANDB_ENTITY": "",
        "WANDB_NAME": NAME,
        "WANDB_RUN_GROUP": "ten_percent",
        "WANDB_JOB_TYPE": "train",
        "WANDB_NOTES": "",
        "WANDB_TAGS": "sst2",
    }


@pytest.mark.parametrize("group", [None, "ten_percent"])
def test_variables_come_before_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str | None) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    start(tmp_path, group=group, tags=("sst2", "t" * 70)).finish({})
    in_sweep = {"WANDB_NAME": f"try1-{NAME}"} if group else {}
    assert recorded(only_offline_run(tmp_path)) == VARIABLES | in_sweep | {"WANDB_TAGS": f"paper,draft,sst2,{'t' * 64}"}


def test_the_command_line_comes_before_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    start(tmp_path, TrackingConfig(mode="offline", project="theirs", entity="me")).finish({})
    assert recorded(only_offline_run(tmp_path)).items() >= {"WANDB_PROJECT": "theirs", "WANDB_ENTITY": "me"}.items()


def test_the_name_is_a_prefix_for_the_runs_of_an_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_NAME", "try1")
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    start(tmp_path, group=None).finish({})
    assert only_offline_run(tmp_path).run.display_name == f"try1-{NAME}"


def test_wandb_dir_holds_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    for _ in range(2):  # the second attempt replaces the first there
        start(tmp_path / "sweep").finish({})
    assert only_offline_run(tmp_path / "elsewhere").run.display_name == NAME
    assert not (tmp_path / "sweep").exists()


def test_a_name_longer_than_wandb_accepts_is_cut(tmp_path: Path) -> None:
    start(tmp_path, name="n" * 200).finish({})
    assert only_offline_run(tmp_path).run.display_name == "n" * 128


# --------------------------------------------------------------------------------------------------- earlier attempts

KILLED = """
import os, signal, sys
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import TrackedRun, start_tracker
run = TrackedRun("0123456789ab", "warmupcosine-w36-lr0.001-s0", Path(sys.argv[1]), {}, "ten_percent")
tracker = start_tracker(TrackingConfig(mode="offline"), run)
for step in range(8):
    tracker.log({"step": step, "loss": 9.0})
tracker._guard.call(lambda: os.kill(os.getpid(), signal.SIGKILL))
signal.pause()
"""


def test_a_resumed_run_is_recorded_from_the_start_and_the_killed_attempt_removed(tmp_path: Path) -> None:
    killed = program.run([sys.executable, "-c", KILLED, tmp_path], timeout=30)
    assert killed.returncode == -signal.SIGKILL
    other = start(tmp_path, run_id="c" * 12)
    other.finish({})
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2

    tracker = start(tmp_path, history=[update_row(step) for step in range(5)])
    for step in range(5, 12):
        tracker.log(update_row(step))
    tracker.finish({})
    runs = {found.run.run_id[:12]: found for found in offline_runs(tmp_path)}
    assert len(runs) == 2
    assert runs[RUN_ID].steps == list(range(12))
    assert [row["train/loss"] for row in runs[RUN_ID].history] == [wandb_row(step)["train/loss"] for step in range(12)]


@pytest.mark.parametrize("name", ["wandb", "none"])
def test_conf_has_exactly_the_fields_of_the_schema(name: str) -> None:
    values = yaml.safe_load((program.ROOT / "conf" / "tracking" / f"{name}.yaml").read_text())
    assert list(values) == [item.name for item in fields(TrackingConfig)]
    assert TrackingConfig(**values) == TrackingConfig(kind=name)


AT_ONCE = """
import logging.config, os, sys, threading
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking.wandb_run import open_run

run = open_run(TrackingConfig(), False, {"project": "p", "dir": sys.argv[1], "id": "a", "config": {}})
handler = logging.getLogger("wandb").handlers[-1]
is_closing, is_configuring, close = threading.Event(), threading.Event(), handler.stream.close

def close_late():
    is_closing.set()
    is_configuring.wait(1)
    close()

def configure():
    with logging._lock:
        is_configuring.set()
        logging.config.dictConfig({"version": 1})

handler.stream.close = close_late
threading.Thread(target=run.finish, daemon=True).start()
assert is_closing.wait(60)
other = threading.Thread(target=configure, daemon=True)
other.start()
other.join(10)
os.write(1, b"hangs" if other.is_alive() else b"ended")
os._exit(0)
"""


def test_a_run_that_ends_does_not_stop_a_job_that_starts(tmp_path: Path) -> None:
    """`finish` closes a log file, and the next job configures `logging`: both take two locks, here in a forced order.

    A sweep stood still at "11 done, 0 running, 1 left".
    """
    done = program.run([sys.executable, "-c", AT_ONCE, tmp_path])
    assert done.stdout == "ended", done.stderr
