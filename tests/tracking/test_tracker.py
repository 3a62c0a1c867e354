"""The real wandb client throughout: offline, against a server on the loopback, and with its service killed."""

from __future__ import annotations

import getpass
import io
import json
import logging
import math
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from small_runs import small_plan
from wandb_standin import StandIn

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import TrackingConfig
from warmup_lab.runs.trace import StepTable
from warmup_lab.tracking import guard
from warmup_lab.tracking import tracker as tracker_module
from warmup_lab.tracking.summary import log_summary_run
from warmup_lab.tracking.tracker import NullTracker, Tracker, start_tracker
from warmup_lab.training.stacked.train import train_stacked

ROOT = Path(__file__).resolve().parents[2]
OFFLINE = TrackingConfig(mode="offline")
RUN_ID = "0123456789ab"
LOGGERS = ("warmup_lab.tracking.tracker", "warmup_lab.tracking.guard")


@pytest.fixture(autouse=True)
def _own_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings, keys or caches of the user's; no service left from the test before."""
    for name in [key for key in os.environ if key.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("WANDB_SILENT", "WANDB_DATA_DIR", "WANDB_ERROR_REPORTING", "WANDB_SERVICE", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "")  # so that the fixture's end removes what the test sets
        monkeypatch.delenv(name)
    for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    yield
    if wandb := sys.modules.get("wandb"):
        wandb.teardown()
    guard.reachable.cache_clear()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn() as standin:
        _use(standin.url, monkeypatch)
        yield standin


def _use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(directory: Path, config: TrackingConfig = OFFLINE, run_id: str = RUN_ID, **given: Any) -> Tracker:
    named: dict[str, Any] = {"name": "warmupcosine-w36-s0", "group": "ten_percent", "run_config": {}}
    return start_tracker(config, run_id=run_id, directory=directory, **(named | given))


def _row(step: int) -> dict[str, float | int | None]:
    return {"step": step, "epoch": step / 10, "lr": 1e-3, "loss": 1 / (step + 1), "grad_norm": 2.0}


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name in LOGGERS]


# ------------------------------------------------------------------------------------- reading what was written


def _records(folder: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: LevelDB's log format after a header of 7 bytes, in blocks of 32 KiB."""
    from wandb.proto import wandb_internal_pb2

    data = next(folder.glob("*.wandb")).read_bytes()
    place, pending = 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        pending += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(pending)
            pending = b""


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


class Written:
    """An offline run, read back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = list(_records(folder))
        self.run = next(record.run for record in self.records if record.HasField("run"))
        self.config = _items(self.run.config.update)
        rows = [_items(record.history.item) for record in self.records if record.HasField("history")]
        own = ("_timestamp", "_runtime")
        self.history = [{key: value for key, value in row.items() if key not in own} for row in rows]
        self.steps = [row["_step"] for row in self.history]
        self.summary: dict[str, Any] = {}
        for record in self.records:
            if record.HasField("summary"):
                self.summary |= _items(record.summary.update)
        self.exit_code = [record.exit.exit_code for record in self.records if record.HasField("exit")]


def _written(directory: Path, run_id: str = "") -> list[Written]:
    folders = sorted(directory.glob(f"wandb/offline-run-*_*-{run_id}*"))
    limit = time.monotonic() + 5
    for folder in folders:  # the service ends its file a moment after it has said that it is done
        while not any(record.HasField("exit") for record in _records(folder)) and time.monotonic() < limit:
            time.sleep(0.02)
    return [Written(folder) for folder in folders]


def _only(directory: Path) -> Written:
    (written,) = _written(directory)
    return written


# ------------------------------------------------------------------------------------------------------ offline


def test_an_offline_run_holds_everything_once(tmp_path: Path) -> None:
    config = {"optimizer": {"name": "adamw", "lr": 1e-3}, "task": {"train_file": Path("a.tsv")}, "seed": 0}
    tracker = _start(tmp_path, run_config=config)
    for step in range(50):
        tracker.log(_row(step))
    tracker.log({"step": 49, "eval/loss": 0.3, "eval/accuracy": 0.9})
    tracker.finish({"status": "completed", "oscillation": {"whole": {"roughness": 0.1, "rho1": None}}})

    written = _only(tmp_path)
    expected: list[dict[str, Any]] = [{**_row(step), "_step": step} for step in range(50)]
    expected[-1] |= {"eval/loss": 0.3, "eval/accuracy": 0.9}
    assert written.history == [{key: row[key] for key in row if key != "step"} for row in expected]
    assert written.config | {"_wandb": {}} == config | {"task": {"train_file": "a.tsv"}, "_wandb": {}}
    assert (written.run.display_name, written.run.run_group, written.run.job_type) == (
        "warmupcosine-w36-s0", "ten_percent", "train")  # fmt: skip
    assert written.run.project == "warmup-lab"
    assert written.run.run_id.startswith(RUN_ID)
    assert written.summary["oscillation/whole/roughness"] == 0.1
    assert written.summary["status"] == "completed"
    assert written.summary["eval/accuracy"] == 0.9
    assert "oscillation/whole/rho1" not in written.summary
    assert written.exit_code == [0]


def test_runs_that_are_trained_together_have_a_wandb_run_each(tmp_path: Path) -> None:
    """The second one diverges and ends while the others go on."""
    base = {"tracking": OFFLINE, "max_grad_norm": None, "eval_every": None}
    plans = [small_plan(lr=lr, scheduler="constantlr", warmup_ratio=None, seed=seed, **base)
             for seed, lr in enumerate((1e-3, 1e30, 1e-4))]  # fmt: skip
    results = train_stacked(plans, [tmp_path / plan.run_id for plan in plans], group="sweep", show_progress=False)
    for plan, result in zip(plans, results, strict=True):
        (written,) = _written(tmp_path, plan.run_id)
        trace = StepTable.read(tmp_path / plan.run_id / "trace.parquet").rows()
        losses = {row["_step"]: row["loss"] for row in written.history if "loss" in row}
        assert losses == {row["step"]: row["loss"] for row in trace if math.isfinite(row["loss"])}
        assert (written.run.display_name, written.run.run_group) == (plan.name, "sweep")
        assert written.summary["status"] == result["status"] == ("diverged" if plan.config.seed == 1 else "completed")
        assert written.exit_code == [0]
    assert len(_written(tmp_path)) == 3


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    tracker = _start(tmp_path)
    odd: dict[str, Any] = {"loss": math.nan, "grad_norm": math.inf, "sharpness": np.float32("nan"), "overshoot": None}
    tracker.log({"step": np.int64(3), "lr": np.float64(0.5), "count": np.int64(2), **odd})
    tracker.finish({"loss": math.nan, "resumed_at": [5], "failed_to_learn": True}, exit_code=1)
    written = _only(tmp_path)
    assert written.history == [{"_step": 3, "lr": 0.5, "count": 2}]
    assert (written.summary["resumed_at"], written.summary["failed_to_learn"]) == ([5], True)
    assert "loss" not in written.summary
    assert written.exit_code == [1]


@pytest.mark.parametrize(("num_steps", "steps"), [(21, [0, 10, 20]), (25, [0, 10, 20, 24]), (3, [0, 2])])
def test_every_tenth_update_and_the_last(tmp_path: Path, num_steps: int, steps: list[int]) -> None:
    tracker = _start(tmp_path, TrackingConfig(mode="offline", log_every=10))
    for step in range(num_steps):
        tracker.log(_row(step))
    tracker.finish({})
    assert _only(tmp_path).steps == steps


def test_an_evaluation_brings_its_update_and_nothing_is_dropped(tmp_path: Path) -> None:
    tracker = _start(tmp_path, TrackingConfig(mode="offline", log_every=10))
    for step in range(15):
        tracker.log(_row(step))
    tracker.log({"step": 15, "eval/loss": 0.3})  # as after 15 updates, the last of which is update 14
    tracker.finish({})
    written = _only(tmp_path)
    assert written.steps == [0, 10, 14, 15]
    assert written.history[-1] == {"_step": 15, "eval/loss": 0.3}


def test_nothing_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOME_SECRET", "a-secret-of-the-environment")
    monkeypatch.chdir(ROOT)  # a git repository
    tracker = _start(tmp_path)
    print("a line on the console")
    tracker.log(_row(0))
    tracker.finish({})

    assert capfd.readouterr() == ("a line on the console\n", "")
    written = _only(tmp_path)
    kinds = {record.WhichOneof("record_type") for record in written.records}
    assert kinds == {"header", "run", "telemetry", "summary", "history", "exit"}
    assert not written.run.HasField("git")
    assert written.run.host in ("", "anon")
    assert list((written.folder / "files").iterdir()) == []
    _assert_anonymous(next(written.folder.glob("*.wandb")).read_bytes())


def _assert_anonymous(sent: bytes) -> None:
    told = [
        socket.gethostname(),
        platform.node(),
        sys.executable,
        str(ROOT),
        str(Path.cwd()),
        "a-secret-of",
        "a line on",
    ]
    told += [argument for argument in sys.argv if len(argument) > 5]
    if len(getpass.getuser()) > 4:
        told.append(getpass.getuser())
    assert [word for word in told if word.encode() in sent] == []


def test_two_runs_of_one_process_stay_apart(tmp_path: Path) -> None:
    first, second = _start(tmp_path, run_id="a" * 12, name="one"), _start(tmp_path, run_id="b" * 12, name="two")
    for step in range(20):
        first.log(_row(step))
        if step < 10:
            second.log({"step": step, "loss": 7.0})
    second.finish({"which": 2})
    first.finish({"which": 1})
    runs = {written.run.display_name: written for written in _written(tmp_path)}
    assert runs["one"].steps == list(range(20))
    assert runs["two"].history == [{"_step": step, "loss": 7.0} for step in range(10)]
    assert (runs["one"].summary["which"], runs["two"].summary["which"]) == (1, 2)


def test_the_same_run_in_two_sweeps_has_two_ids(tmp_path: Path) -> None:
    for group in ("one", "two", None):
        _start(tmp_path, group=group).finish({})
    assert len({written.run.run_id for written in _written(tmp_path)}) == 3


def test_many_runs_at_once(tmp_path: Path) -> None:
    trackers = [_start(tmp_path, run_id=f"{number:012x}", name=str(number)) for number in range(16)]
    for step in range(30):
        for tracker in trackers:
            tracker.log(_row(step))
    for tracker in trackers:
        tracker.finish({})
    written = _written(tmp_path)
    assert sorted(int(run.run.display_name) for run in written) == list(range(16))
    assert all(run.steps == list(range(30)) for run in written)


# --------------------------------------------------------------------------------------------------- resumption

KILLED = """
import os, signal, sys
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import start_tracker
tracker = start_tracker(TrackingConfig(mode="offline"), run_id="0123456789ab", name="warmupcosine-w36-s0",
                        group="ten_percent", directory=Path(sys.argv[1]), run_config={})
for step in range(8):
    tracker.log({"step": step, "loss": 9.0})
tracker._guard.call(lambda: os.kill(os.getpid(), signal.SIGKILL))
signal.pause()
"""


def _python(script: str, *arguments: str | Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)


def test_a_resumed_run_is_written_whole_and_the_killed_one_removed(tmp_path: Path) -> None:
    killed = _python(KILLED, tmp_path)
    killed.communicate(timeout=30)
    assert killed.returncode == -signal.SIGKILL
    other = _start(tmp_path, run_id="c" * 12)
    other.finish({})
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2

    tracker = _start(tmp_path, history=[_row(step) for step in range(5)])
    for step in range(5, 12):
        tracker.log(_row(step))
    tracker.finish({})
    runs = {written.run.run_id[:12]: written for written in _written(tmp_path)}
    assert len(runs) == 2
    assert runs[RUN_ID].steps == list(range(12))
    assert [row["loss"] for row in runs[RUN_ID].history] == [_row(step)["loss"] for step in range(12)]


def test_evaluations_may_come_after_the_trace_in_a_history(tmp_path: Path) -> None:
    history: list[dict[str, Any]] = [_row(step) for step in range(6)]
    _start(tmp_path, history=[*history, {"step": 2, "eval/loss": 0.5}, {"step": 5, "eval/loss": 0.3}]).finish({})
    written = _only(tmp_path)
    assert written.steps == list(range(6))
    assert {row["_step"]: row["eval/loss"] for row in written.history if "eval/loss" in row} == {2: 0.5, 5: 0.3}


def test_an_abandoned_run_closes_at_once_and_can_be_taken_up(tmp_path: Path) -> None:
    tracker = _start(tmp_path)
    for step in range(5000):
        tracker.log(_row(step))
    begin = time.monotonic()
    tracker.abandon()
    assert time.monotonic() - begin < 3
    tracker.log(_row(5000))
    again = _start(tmp_path, history=[_row(0)])
    again.finish({})
    assert _only(tmp_path).steps == [0]


INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import start_tracker
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background had it ignored
tracker = start_tracker(TrackingConfig(), run_id="0123456789ab", name="n", group="g", directory=Path(sys.argv[1]),
                        run_config={})
try:
    print("begun", flush=True)
    for step in range(100_000):
        tracker.log({"step": step, "loss": 1.0})
        time.sleep(0.001)
except KeyboardInterrupt:
    begin = time.monotonic()
    tracker.abandon()
    print(time.monotonic() - begin)
"""


@pytest.mark.parametrize("mute", [False, True])
def test_control_c_ends_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mute: bool) -> None:
    with StandIn(mute=mute) as standin:
        _use(standin.url, monkeypatch)
        process = _python(INTERRUPTED, tmp_path)
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        time.sleep(1.5)
        os.killpg(process.pid, signal.SIGINT)
        begin = time.monotonic()
        seconds, complaints = process.communicate(timeout=20)
    assert process.returncode == 0
    assert complaints == ""
    assert float(seconds) < 5
    assert time.monotonic() - begin < 8


# --------------------------------------------------------------------------------------------- where there is none


def test_without_a_key_it_is_offline_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    begin = time.monotonic()
    tracker = _start(tmp_path, TrackingConfig())
    tracker.log(_row(0))
    tracker.finish({})
    assert time.monotonic() - begin < 5
    assert _only(tmp_path).steps == [0]
    (line,) = _said(caplog)
    assert "offline, since there is no API key" in line
    assert f"wandb sync {tmp_path}/wandb" in line


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_an_unreachable_server_means_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.INFO)
    _use(f"http://127.0.0.1:{_closed_port()}", monkeypatch)
    begin = time.monotonic()
    tracker = _start(tmp_path, TrackingConfig(mode=mode))
    tracker.log(_row(0))
    tracker.finish({})
    assert time.monotonic() - begin < 5
    assert _only(tmp_path).steps == [0]
    (line,) = _said(caplog)
    assert "cannot be reached" in line
    warned = [record.name for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == (["warmup_lab.tracking.tracker"] if mode == "online" else [])


@pytest.mark.parametrize(("key", "why"), [(None, "no API key"), ("short", "cannot be used")])
def test_online_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, why: str) -> None:
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(ConfigError, match=f"tracking.mode=online: .*{why}.*tracking.mode=auto"):
        _start(tmp_path, TrackingConfig(mode="online"))


def test_a_key_in_netrc_is_found(tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {server.url.removeprefix('http://')} login user password {'0123456789' * 4}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("WANDB_API_KEY")
    _start(tmp_path, TrackingConfig(mode="online")).finish({})
    assert len(server.runs) == 1


@pytest.mark.parametrize("name", ["WANDB_BASE_URL", "http_proxy"])
def test_a_malformed_address_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _use("http://127.0.0.1:1", monkeypatch)
    monkeypatch.setenv(name, "http://host:not-a-port")
    _start(tmp_path, TrackingConfig(), history=[_row(0)]).finish({})


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "wandb").write_text("a file")
    tracker = _start(tmp_path, history=[_row(0)])
    tracker.finish({})
    assert [line[:30] for line in _said(caplog)] == ["W&B stopped recording this run"]


def test_a_server_behind_a_proxy_is_reached_through_it(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert not guard.reachable("http://wandb.invalid")
    guard.reachable.cache_clear()
    monkeypatch.setenv("http_proxy", server.url)
    assert guard.reachable("http://wandb.invalid")


@pytest.mark.parametrize(("mode", "num_runs"), [("offline", 1), ("disabled", 0)])
def test_auto_heeds_wandb_mode(
    tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, mode: str, num_runs: int
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    _start(tmp_path, TrackingConfig()).finish({})
    assert len(_written(tmp_path)) == num_runs
    assert server.runs == {}


NO_WANDB = """
import sys
sys.modules["wandb"] = None
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import NullTracker, start_tracker
for kind in ("none", "wandb"):
    config = TrackingConfig(kind=kind)
    named = dict(run_id="a", name="n", group=None, directory=Path(sys.argv[1]), run_config={})
    assert isinstance(start_tracker(config, **named), NullTracker)
"""


def test_without_wandb_the_local_files_are_enough(tmp_path: Path) -> None:
    process = _python(NO_WANDB, tmp_path)
    _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0, complaints
    assert len(complaints.splitlines()) == 1
    assert complaints.startswith("W&B cannot be used (")


def test_tracking_none_does_nothing(tmp_path: Path) -> None:
    tracker = _start(tmp_path, TrackingConfig(kind="none"), history=[_row(0)])
    tracker.log(_row(1))
    tracker.finish({})
    tracker.abandon()
    assert isinstance(tracker, NullTracker)
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------- what may go wrong


def _kill(tracker: Tracker) -> None:
    _signal_service(tracker, signal.SIGKILL)


def _signal_service(tracker: Tracker, number: signal.Signals) -> None:
    tracker._guard.call(lambda: os.kill(guard._service().pid, number))  # type: ignore[attr-defined]
    time.sleep(1)


def test_a_dead_service_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = _start(tmp_path)
    tracker.log(_row(0))
    _kill(tracker)
    for step in range(1, 200):
        tracker.log(_row(step))
        time.sleep(0.001)
    begin = time.monotonic()
    tracker.finish({"status": "completed"})
    assert time.monotonic() - begin < 5
    (line,) = _said(caplog)
    assert line.startswith("W&B stopped recording this run (")

    _start(tmp_path, run_id="b" * 12, history=[_row(0)]).finish({})  # the next run of the sweep is recorded again
    assert [written.steps for written in _written(tmp_path, "b" * 12)] == [[0]]
    assert len(_said(caplog)) == 1


def test_a_service_that_hangs_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "FINISH", 1.0)
    monkeypatch.setattr(tracker_module, "GRACE", 1.0)
    tracker = _start(tmp_path)
    tracker.log(_row(0))
    _signal_service(tracker, signal.SIGSTOP)
    tracker.log(_row(1))
    begin = time.monotonic()
    tracker.finish({})
    assert time.monotonic() - begin < 8
    assert _said(caplog) == [
        "W&B stopped recording this run (it does not answer). It goes on, and its local files are whole."
    ]
    _start(tmp_path, run_id="b" * 12, history=[_row(0)]).finish({})
    assert [written.steps for written in _written(tmp_path, "b" * 12)] == [[0]]


DEAD_SERVICE = """
import os, signal, sys, time
from pathlib import Path
from warmup_lab import tracking
from warmup_lab.tracking import guard
from warmup_lab.config import TrackingConfig
tracker = tracking.start_tracker(TrackingConfig(mode="offline"), run_id="a", name="n", group="g",
                                 directory=Path(sys.argv[1]), run_config={})
tracker._guard.call(lambda: os.kill(guard._service().pid, signal.SIGKILL))
for step in range(100):
    tracker.log({"step": step, "loss": 1.0})
    time.sleep(0.01)
tracker.finish({})
"""


def test_a_process_whose_service_died_exits_in_peace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SERVICE", "3-1-unix-/of/a/parent/long/gone")  # to be passed over
    process = _python(DEAD_SERVICE, tmp_path)
    _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(complaints.splitlines()) == 1, complaints


@pytest.mark.parametrize("trouble", ["refuse", "mute"])
def test_a_server_that_takes_no_run_means_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    monkeypatch.setattr(tracker_module, "INIT", 2.0)
    with StandIn(**{trouble: True}) as standin:
        _use(standin.url, monkeypatch)
        tracker = _start(tmp_path, TrackingConfig(), history=[_row(0), _row(1)])
        begin = time.monotonic()
        tracker.finish({"status": "completed"})
        assert time.monotonic() - begin < 10
    (line,) = _said(caplog)
    assert line.startswith("W&B: offline, since ")
    written = _only(tmp_path)
    assert written.steps == [0, 1]
    assert written.summary["status"] == "completed"


def test_a_server_lost_on_the_way_costs_a_warning(
    tmp_path: Path, server: StandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "FINISH", 1.0)
    tracker = _start(tmp_path, TrackingConfig())
    tracker.log(_row(0))
    while not server.operations:
        time.sleep(0.05)
    server.mute = True
    begin = time.monotonic()
    tracker.finish({})
    assert time.monotonic() - begin < 10
    assert len(_said(caplog)) == 1


# ------------------------------------------------------------------------------------------------------- online


def test_online_history_summary_and_config_arrive(
    tmp_path: Path, server: StandIn, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    tracker = _start(tmp_path, TrackingConfig(), run_config={"optimizer": {"lr": 1e-3}})
    for step in range(10):
        tracker.log(_row(step))
    tracker.log({"step": 9, "eval/loss": 0.3})
    tracker.finish({"oscillation": {"whole": {"roughness": 0.1}}})

    ((run_id, run),) = server.runs.items()
    assert [row["_step"] for row in run.history] == list(range(10))
    assert [row["loss"] for row in run.history] == [_row(step)["loss"] for step in range(10)]
    assert run.history[-1]["eval/loss"] == 0.3
    assert run.summary["oscillation/whole/roughness"] == 0.1
    assert run.config == {"optimizer": {"lr": 1e-3}}
    assert run.exit_code == 0
    begun = run.upserts[0]
    assert (begun["groupName"], begun["jobType"]) == ("ten_percent", "train")
    assert begun["displayName"] == "warmupcosine-w36-s0"
    assert {begun[key] for key in ("host", "program", "commit", "repo")} == {None}
    assert sorted(run.files) == ["config.yaml", "wandb-summary.json"]
    _assert_anonymous(server.everything)
    assert _said(caplog) == [f"W&B: {server.url}/someone/warmup-lab/runs/{run_id}"]
    assert capfd.readouterr() == ("", "")


def test_online_a_resumed_run_writes_over_the_earlier_attempt(tmp_path: Path, server: StandIn) -> None:
    attempt = _start(tmp_path, TrackingConfig())
    for step in range(8):
        attempt.log({"step": step, "loss": 9.0})
    attempt.finish({}, exit_code=1)
    resumed = _start(tmp_path, TrackingConfig(), history=[_row(step) for step in range(5)])
    for step in range(5, 12):
        resumed.log(_row(step))
    resumed.finish({})

    ((_, run),) = server.runs.items()
    assert run.offsets.count(0) == 2
    assert [row["loss"] for row in run.history] == [_row(step)["loss"] for step in range(12)]


def test_one_sync_sends_all_offline_runs(tmp_path: Path, server: StandIn) -> None:
    for run_id in ("a" * 12, "b" * 12):
        _start(tmp_path, run_id=run_id, history=[_row(0), _row(1)]).finish({})
    _summary_run(tmp_path, OFFLINE)
    command = [sys.executable, "-m", "wandb", "sync", "--yes", str(tmp_path / "wandb")]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True)
    assert {run_id.split("-")[0] for run_id in server.runs} >= {"a" * 12, "b" * 12, "summary"}
    runs = {run_id.split("-")[0]: run for run_id, run in server.runs.items()}
    assert [row["_step"] for row in runs["a" * 12].history] == [0, 1]


# -------------------------------------------------------------------------------------------------- the summary run

TABLE = pd.DataFrame({"arm": ["w0", "w36"], "seed": [0, 1], "eval_loss": [0.5, math.nan], "error": [None, "it broke"]})
SERIES: dict[str, dict[str, list[tuple[float, float | None]]]] = {
    "roughness": {"warmuplinear lr0.001": [(0, 0.2), (36, 0.1)], "warmupcosine": [(18, 0.3), (36, None)]}
}
PICTURE = Image.new("RGB", (3, 2), (0, 114, 178))


def _summary_run(directory: Path, config: TrackingConfig) -> None:
    figure = directory / "oscillation.png"
    PICTURE.save(figure)
    log_summary_run(
        config, name="ten_percent", group="ten_percent", directory=directory, run_config={"study": "ten_percent"},
        table=TABLE, series=SERIES, figures=[figure], summary={"verdict": "inconclusive"},
    )  # fmt: skip


def _check_exhibits(history: list[dict[str, Any]], read: Callable[[str], bytes]) -> None:
    points = [{key: value for key, value in row.items() if key.startswith(("rough", "warm"))} for row in history]
    assert [row for row in points if row][:3] == [
        {"warmup_steps": 0, "roughness/warmuplinear lr0.001": 0.2},
        {"warmup_steps": 18, "roughness/warmupcosine": 0.3},
        {"warmup_steps": 36, "roughness/warmuplinear lr0.001": 0.1},
    ]
    exhibits = history[-1]
    table = json.loads(read(exhibits["runs"]["path"]))
    assert table == {"columns": list(TABLE), "data": [["w0", 0, 0.5, None], ["w36", 1, None, "it broke"]]}
    chart = json.loads(read(history[0]["charts/roughness_table"]["path"]))
    assert [line[1] for line in chart["data"]] == ["warmuplinear lr0.001", "warmuplinear lr0.001", "warmupcosine"]
    with Image.open(io.BytesIO(read(exhibits["figures/oscillation"]["path"]))) as figure:
        assert figure.convert("RGB").tobytes() == PICTURE.tobytes()


def test_the_summary_run_offline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):  # a rebuilt report replaces the earlier run
        _summary_run(tmp_path, OFFLINE)
    written = _only(tmp_path)
    history = [_nested(row) for row in written.history]
    _check_exhibits(history, lambda path: (written.folder / "files" / path).read_bytes())
    assert (written.run.job_type, written.run.run_group) == ("summary", "ten_percent")
    assert written.summary["verdict"] == "inconclusive"
    defined = [record.metric for record in written.records if record.HasField("metric")]
    assert [(metric.glob_name, metric.step_metric) for metric in defined][:1] == [("roughness/*", "warmup_steps")]
    assert _said(caplog) == []


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose media are flattened to `<key>/<field>` made as it is online."""
    nested: dict[str, Any] = {}
    for key, value in row.items():
        kind = next(
            (name for name in ("runs", "charts/roughness_table", "figures/oscillation") if name + "/" in key), None
        )
        if kind:
            nested.setdefault(kind, {})[key.removeprefix(kind + "/")] = value
        else:
            nested[key] = value
    return nested


def test_the_summary_run_online(tmp_path: Path, server: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    _summary_run(tmp_path, TrackingConfig())
    run = next(run for run_id, run in server.runs.items() if run_id.startswith("summary"))
    _check_exhibits(run.history, lambda path: run.files[path])
    assert run.upserts[0]["jobType"] == "summary"
    assert run.summary["verdict"] == "inconclusive"
    assert run.exit_code == 0
    assert _said(caplog) == []


def test_tracking_none_has_no_summary_run(tmp_path: Path) -> None:
    _summary_run(tmp_path, TrackingConfig(kind="none"))
    assert not (tmp_path / "wandb").exists()


# ---------------------------------------------------------------------------------------------------------- conf


@pytest.mark.parametrize("name", ["wandb", "none"])
def test_conf_has_exactly_the_fields(name: str) -> None:
    values = yaml.safe_load((ROOT / "conf" / "tracking" / f"{name}.yaml").read_text())
    assert list(values) == [item.name for item in fields(TrackingConfig)]
    assert TrackingConfig(**values) == TrackingConfig(kind=name)
