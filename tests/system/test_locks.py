"""The locks of folders, between processes, and the markers of file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import socket
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from filelock import Timeout
from program import start

from warmup_lab.config import ConfigError
from warmup_lab.system.locks import HOLDER, MARKER, lock_holder, run_lock, sweep_lock

HOLD = """
import errno, fcntl, sys, time
from pathlib import Path
from warmup_lab.system import run_lock, sweep_lock
def unsupported(*_):
    raise OSError(errno.EOPNOTSUPP, "no locks")
if "marker" in sys.argv:
    fcntl.flock = unsupported
with (run_lock if "run" in sys.argv else sweep_lock)(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@pytest.fixture
def hold():
    """Starts a process that holds the lock of a folder."""
    processes = []

    def start_holder(folder: Path, *how: str):
        process = start([sys.executable, "-c", HOLD, str(folder), *how])
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start_holder
    for process in processes:
        process.kill()
        process.communicate()


def kill(process) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def without_locks(monkeypatch, number: int) -> None:
    """Makes the file system answer as one without locks."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


def refused(lock, folder: Path) -> str:
    """The message of a lock that another process holds."""
    with pytest.raises(ConfigError) as caught, lock(folder):
        pytest.fail("two processes hold the lock")
    return str(caught.value)


def test_a_sweep_in_use_is_refused_and_one_left_by_a_killed_process_is_not(tmp_path: Path, hold) -> None:
    holder = hold(tmp_path / "study")
    message = refused(sweep_lock, tmp_path / "study")
    assert re.match(rf"{tmp_path}/study is in use by another sweep \(process {holder.pid} on ", message)
    assert message.endswith("): wait until it ends, or choose another study=NAME")
    kill(holder)
    with sweep_lock(tmp_path / "study"):
        assert json.loads((tmp_path / "study" / HOLDER).read_text())["pid"] == os.getpid()


def test_a_run_in_use_names_process_host_and_since_when(tmp_path: Path, hold) -> None:
    before = datetime.now().replace(microsecond=0)
    holder = hold(tmp_path, "run")
    message = refused(run_lock, tmp_path)
    found = re.search(
        r"another command \(process (\d+) on (.+) since (.{19})\): wait .* \(hydra\.run\.dir=FOLDER\)$", message
    )
    assert found, message
    assert (int(found[1]), found[2]) == (holder.pid, socket.gethostname())
    assert before <= datetime.fromisoformat(found[3]) <= before + timedelta(minutes=2)


@pytest.mark.parametrize("number", NO_LOCKS)
def test_a_file_system_without_locks_gets_a_marker(tmp_path: Path, monkeypatch, number: int) -> None:
    without_locks(monkeypatch, number)
    with run_lock(tmp_path):
        pid, host, *_ = (tmp_path / MARKER).read_text().splitlines()
        assert (int(pid), host.partition("?")[0]) == (os.getpid(), socket.gethostname())
    assert not (tmp_path / MARKER).exists()


def test_another_error_of_the_file_system_is_no_reason_for_a_marker(tmp_path: Path, monkeypatch) -> None:
    without_locks(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"), run_lock(tmp_path):
        pytest.fail("the lock is held")
    assert not (tmp_path / MARKER).exists()


def test_the_marker_of_a_killed_process_of_this_host_is_removed(tmp_path: Path, hold, monkeypatch) -> None:
    without_locks(monkeypatch, errno.EOPNOTSUPP)
    holder = hold(tmp_path, "run", "marker")
    assert f"process {holder.pid} on {socket.gethostname()} since " in refused(run_lock, tmp_path)
    kill(holder)
    assert (tmp_path / MARKER).exists()
    with run_lock(tmp_path):
        assert (tmp_path / MARKER).read_text().startswith(f"{os.getpid()}\n")


@pytest.mark.parametrize("content", ["1\nother-host\n", ""])
def test_a_marker_that_cannot_be_judged_here_stays_and_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch, content: str
) -> None:
    without_locks(monkeypatch, errno.ENOLCK)
    (tmp_path / MARKER).write_text(content)
    message = refused(run_lock, tmp_path)
    assert ("process 1 on other-host since " if content else "process unknown") in message
    assert message.endswith(f"if it does not, remove {tmp_path / MARKER}")
    assert (tmp_path / MARKER).read_text() == content
    (tmp_path / MARKER).unlink()
    with run_lock(tmp_path):
        pass


def test_a_lock_is_waited_for(tmp_path: Path, hold) -> None:
    holder = hold(tmp_path, "run")
    os.kill(holder.pid, signal.SIGTERM)
    with run_lock(tmp_path, wait=30):
        pass


def test_the_holder_of_a_lock_is_known_while_it_is_held(tmp_path: Path) -> None:
    assert lock_holder(tmp_path) is None
    with sweep_lock(tmp_path):
        holder = lock_holder(tmp_path)
        assert holder
        assert (holder["pid"], holder["host"]) == (os.getpid(), socket.gethostname())
    assert lock_holder(tmp_path) is None


def test_a_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with sweep_lock(tmp_path):
            pass
    with pytest.raises(ValueError, match="inside"), sweep_lock(tmp_path):
        raise ValueError("inside")
    with sweep_lock(tmp_path):
        pass
    assert not (tmp_path / HOLDER).exists()


@pytest.mark.parametrize("record", [None, "", "{}", '{"pid": 1, "host": "a", "since": 3}'])
def test_a_holder_without_a_record_is_named_unknown(tmp_path: Path, record: str | None) -> None:
    with sweep_lock(tmp_path):
        (tmp_path / HOLDER).unlink()
        if record is not None:
            (tmp_path / HOLDER).write_text(record)
        assert "(process unknown)" in refused(sweep_lock, tmp_path)


def test_a_timeout_inside_the_block_is_not_mistaken_for_a_folder_in_use(tmp_path: Path) -> None:
    with pytest.raises(Timeout), sweep_lock(tmp_path):
        raise Timeout("another lock")
