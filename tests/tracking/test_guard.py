"""W&B in trouble, with the real wandb client: service killed or stopped, server mute, lost or refusing, bad keys."""

from __future__ import annotations

import logging.config
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import program
import pytest
from wandb_offline import messages, offline_runs, only_offline_run, start, update_row
from wandb_standin import StandIn

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.tracking import command, wandb_run
from warmup_lab.tracking.service import end_service
from warmup_lab.tracking.tracker import Tracker

NO_LONGER = "W&B no longer records this run ("


def start_python(script: str, directory: Path) -> Popen[str]:
    return program.start([sys.executable, "-W", "error", "-c", script, directory])


def signal_service(tracker: Tracker, number: signal.Signals) -> None:
    """Sends a signal to the service once the run is open."""
    wait_for(lambda: tracker._run is not None)  # type: ignore[attr-defined]
    tracker._guard.service.send_signal(number)  # type: ignore[attr-defined]


def wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------------------- the service


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_whose_service_fails_is_recorded_again_from_its_first_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(command, "WAIT_SECONDS", 1.0)
    tracker = start(tmp_path)
    tracker.log(update_row(0))
    signal_service(tracker, number)
    for step in range(1, 50):
        tracker.log(update_row(step))
    tracker.finish({"status": "completed"})
    found = only_offline_run(tmp_path)
    assert found.steps == list(range(50))
    assert found.summary["status"] == "completed"
    assert found.exit_code == [0]
    (line,) = messages(caplog)
    reason = "wandb-core has ended" if number == signal.SIGKILL else "no answer within 1 seconds"
    assert line == f"W&B failed ({reason}), so this run is recorded again"

    start(tmp_path, run_id="b" * 12, history=[update_row(0)]).finish({})
    assert [found.steps for found in offline_runs(tmp_path, "b" * 12)] == [[0]]
    assert len(messages(caplog)) == 1


def test_the_log_of_a_killed_run_does_not_keep_later_ones_from_being_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """wandb leaves it open. Hydra closes it with its next job, and a message would open it again, in a lost folder."""
    tracker = start(tmp_path / "first")
    tracker.log(update_row(0))
    signal_service(tracker, signal.SIGKILL)
    tracker.finish({})
    end_service(tracker._guard.service)  # type: ignore[attr-defined]  # the next run starts a new one, which is logged
    shutil.rmtree(tmp_path / "first")
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    caplog.clear()
    start(tmp_path / "second", history=[update_row(0)]).finish({})
    assert messages(caplog) == []
    assert only_offline_run(tmp_path / "second").steps == [0]


def test_a_service_that_fails_twice_costs_two_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = start(tmp_path)
    first = tracker._guard  # type: ignore[attr-defined]
    tracker.call_with_run(lambda _: (first.service.kill(), time.sleep(0.5)))  # type: ignore[attr-defined]
    tracker.log(update_row(0))
    tracker.finish({})
    again, no_longer = messages(caplog)
    assert again == "W&B failed (wandb-core has ended), so this run is recorded again"
    assert no_longer.startswith(NO_LONGER)


DEAD_SERVICE = """
import sys, time
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import TrackedRun, start_tracker
tracker = start_tracker(TrackingConfig(mode="offline"), TrackedRun("a", "n", Path(sys.argv[1]), {}, "g"))
while not tracker._run:
    time.sleep(0.02)
tracker._guard.service.kill()
for step in range(100):
    tracker.log({"step": step, "loss": 1.0})
tracker.finish({})
"""


def test_a_process_whose_service_died_exits_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SERVICE", "3-1-unix-/of/a/parent/that/ended")  # must be ignored
    process = start_python(DEAD_SERVICE, tmp_path)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert len(errors.splitlines()) == 1, errors


@pytest.mark.parametrize(("name", "value"), [("GOMEMLIMIT", "abc")])
def test_a_panic_of_the_service_is_one_line_that_names_the_variable(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    for run_id in ("a" * 12, "b" * 12):  # the command remembers the first
        start(tmp_path, run_id=run_id).finish({})
    (line,) = messages(caplog)
    assert line.startswith(NO_LONGER + f"wandb-core failed: malformed {name}")
    assert capfd.readouterr().err == ""


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "wandb").write_text("a file")
    tracker = start(tmp_path, history=[update_row(0)])
    tracker.finish({})
    (line,) = messages(caplog)
    assert line.startswith(NO_LONGER)


# -------------------------------------------------------------------------------------------------------- the server


@pytest.mark.parametrize("trouble", ["refuse", "mute"])
def test_a_server_that_accepts_no_run_means_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    monkeypatch.setattr(wandb_run, "INIT_SECONDS", 1.0)
    with StandIn(**{trouble: True}) as standin:
        standin.use(monkeypatch)
        tracker = start(tmp_path, TrackingConfig(), history=[update_row(0), update_row(1)])
        begin = time.monotonic()
        tracker.finish({"status": "completed"})
        assert time.monotonic() - begin < 10
    (line,) = messages(caplog)
    assert line.startswith("W&B is offline: ")
    found = only_offline_run(tmp_path)
    assert found.steps == [0, 1]
    assert found.summary["status"] == "completed"


def test_a_server_lost_during_the_run_costs_one_warning(
    tmp_path: Path, server: StandIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "WAIT_SECONDS", 1.0)
    tracker = start(tmp_path, TrackingConfig())
    tracker.log(update_row(0))
    while not server.operations:
        time.sleep(0.05)
    server.mute = True
    begin = time.monotonic()
    tracker.finish({})
    assert time.monotonic() - begin < 10
    assert len(messages(caplog)) == 1


INTERRUPTED = """
import signal, sys, time
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import TrackedRun, start_tracker
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process of a shell ignores SIGINT
tracker = start_tracker(TrackingConfig(), TrackedRun("0123456789ab", "n", Path(sys.argv[1]), {}, "g"))
try:
    print("started", flush=True)
    for step in range(100_000):
        tracker.log({"step": step, "loss": 1.0})
        time.sleep(0.001)
except KeyboardInterrupt:
    begin = time.monotonic()
    tracker.abandon()
    print(time.monotonic() - begin)
"""


@pytest.mark.parametrize("mute", [False, True])
def test_ctrl_c_ends_the_process_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mute: bool) -> None:
    with StandIn(mute=mute) as standin:
        standin.use(monkeypatch)
        process = start_python(INTERRUPTED, tmp_path)
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        begin = time.monotonic()
        seconds, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""
    assert float(seconds) < 5
    assert time.monotonic() - begin < 8
