"""What processes of one command know about W&B together, and how long a command waits."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from warmup_lab.system import sweep_lock
from warmup_lab.tracking import command as module
from warmup_lab.tracking.command import Command, command_of

HOLDER = {"pid": os.getpid(), "host": socket.gethostname(), "since": "2026-01-01"}
OTHER = HOLDER | {"pid": 1}


class Run:
    """A run that is recorded after it was told to record again, or never."""

    def __init__(self, *, done: bool = False, helps: bool = True) -> None:
        self.is_done = done
        self.helps = helps
        self.told: list[str] = []

    def record_again(self, reason: str) -> None:
        self.told.append(reason)
        self.is_done = self.helps

    def give_up(self, reason: str) -> None:
        self.told.append(f"give up: {reason}")


@pytest.fixture(autouse=True)
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAIT_SECONDS", "AGAIN_SECONDS", "_LEAST_SECONDS", "_POLL_SECONDS", "_TOLD_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)


def test_a_fault_is_known_to_all_processes_of_the_command_and_to_no_other(tmp_path: Path) -> None:
    worker, parent = Command(tmp_path, HOLDER), Command(tmp_path, HOLDER)
    assert parent.offline_reason == ""
    assert worker.go_offline("no answer")
    assert parent.offline_reason == "no answer"
    assert not parent.go_offline("another reason")
    assert Command(tmp_path, HOLDER).offline_reason == "no answer"
    assert not Command(tmp_path, HOLDER).is_unusable
    assert Command(tmp_path, OTHER).offline_reason == ""
    assert Command(tmp_path, None).offline_reason == ""


def test_a_folder_that_cannot_be_written_leaves_the_fault_known_to_the_process(tmp_path: Path) -> None:
    command = Command(tmp_path / "missing", HOLDER)
    assert command.go_offline("no answer")
    assert command.offline_reason == "no answer"
    command.finish_later(Run(done=True))()
    command.wait()
    command.close()


def test_the_command_of_a_sweep_is_that_of_its_lock(tmp_path: Path) -> None:
    alone = command_of(tmp_path)
    assert not alone.is_sweep
    with sweep_lock(tmp_path):
        first = command_of(tmp_path)
        assert first.is_sweep
        assert command_of(tmp_path) is first
        first.go_offline("no answer")
    with sweep_lock(tmp_path):
        assert command_of(tmp_path).offline_reason == ""


def test_runs_that_are_not_recorded_in_time_are_recorded_again_and_then_given_up(tmp_path: Path) -> None:
    runs = [Run(done=True), Run(), Run(helps=False)]
    command = Command(tmp_path, HOLDER)
    for run in runs:
        command.finish_later(run)
    command.wait()
    again = "no answer within 0.01 seconds"
    assert [run.told for run in runs[1:]] == [[again], [again, f"give up: {again}"]]
    assert runs[0].told == []
    workers = Command(tmp_path, HOLDER)
    assert workers.again_reason == again, "the processes that record the runs of this command see it"
    assert workers.give_up_reason == again


def test_without_a_sweep_the_next_run_starts_with_a_clean_slate(tmp_path: Path) -> None:
    command = Command(tmp_path, None)
    command.finish_later(Run(helps=False))
    command.wait()
    assert (command.again_reason, command.give_up_reason) == ("", "")
    healthy = Run(done=True)
    command.finish_later(healthy)
    command.wait()
    assert healthy.told == []


def test_ctrl_c_ends_the_wait_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ctrl_c(*_: object) -> bool:
        raise KeyboardInterrupt

    command, run = Command(tmp_path, HOLDER), Run()
    command.finish_later(run)
    with monkeypatch.context() as patched:
        patched.setattr(Command, "_all_done", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            command.wait()
    assert run.told == ["give up: stopped"]
    assert Command(tmp_path, HOLDER).give_up_reason == "stopped"
    command.wait()  # nothing is left when the process exits


@pytest.mark.parametrize(("change", "is_waited_for"), [({}, True), ({"pid": 2**22 + 1}, False)])
def test_the_command_waits_for_processes_that_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], is_waited_for: bool
) -> None:
    """A worker is simulated by a process id: one that runs, and one that no process can have."""
    parent = Command(tmp_path, HOLDER)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: change.get("pid", os.getppid()))
        recorded = Command(tmp_path, HOLDER).finish_later(Run())
    parent.wait()
    assert bool(parent.again_reason) == is_waited_for
    recorded()
    assert list(tmp_path.glob(".tracking-*/*.finishing")) == []


def _worker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command as another process sees it that runs."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", os.getppid)
        return Command(folder, HOLDER)


def test_other_processes_learn_that_the_command_gave_up_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOLD_SECONDS", 60.0)
    parent, worker = Command(tmp_path, HOLDER), _worker(tmp_path, monkeypatch)
    done, reasons = worker.finish_later(Run(helps=False)), []

    def follow() -> None:
        while not (reason := worker.give_up_reason):
            time.sleep(0.01)
        time.sleep(0.2)
        reasons.append(reason)
        done()

    thread = threading.Thread(target=follow)
    thread.start()
    parent.wait()
    parent.close()
    assert reasons == ["no answer within 0.01 seconds"]
    thread.join()


def test_a_process_does_not_wait_again_at_its_exit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 3600.0)
    worker, run = _worker(tmp_path, monkeypatch), Run(helps=False)
    worker.finish_later(run)
    Command(tmp_path, HOLDER).close()
    worker.wait()
    assert run.told == ["give up: the command has ended"]
    assert list(tmp_path.iterdir()) == []


def test_the_shared_files_are_removed_by_the_process_that_holds_the_lock(tmp_path: Path) -> None:
    Command(tmp_path, OTHER).go_offline("left by a killed command")
    Command(tmp_path, HOLDER).go_offline("no answer")
    Command(tmp_path, OTHER).close()
    assert len(list(tmp_path.iterdir())) == 2
    Command(tmp_path, HOLDER).close()
    assert list(tmp_path.iterdir()) == []
