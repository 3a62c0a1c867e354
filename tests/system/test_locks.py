"""The lock of a sweep's folder, between processes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from program import start

from warmup_lab.config import ConfigError
from warmup_lab.system.locks import sweep_lock

HOLD = """
import sys, time
from pathlib import Path
from warmup_lab.system import sweep_lock
with sweep_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_is_refused_and_one_left_by_a_killed_process_is_not(tmp_path: Path) -> None:
    holder = start([sys.executable, "-c", HOLD, str(tmp_path / "study")])
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        message = rf"{tmp_path}/study is in use by another sweep \(process {holder.pid}\): wait .*study=NAME"
        with pytest.raises(ConfigError, match=message), sweep_lock(tmp_path / "study"):
            pytest.fail("two processes hold the lock")
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        with sweep_lock(tmp_path / "study"):
            assert (tmp_path / "study" / ".lock.pid").read_text() == str(os.getpid())
    finally:
        holder.kill()
        holder.communicate()


def test_a_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with sweep_lock(tmp_path):
            pass
    with pytest.raises(ValueError, match="inside"), sweep_lock(tmp_path):
        raise ValueError("inside")
    with sweep_lock(tmp_path):
        pass


def test_a_holder_without_a_process_id_is_named_unknown(tmp_path: Path) -> None:
    with sweep_lock(tmp_path):
        (tmp_path / ".lock.pid").unlink()
        with pytest.raises(ConfigError, match=r"\(process unknown\)"), sweep_lock(tmp_path):
            pytest.fail("the lock is held twice")


def test_a_timeout_inside_the_block_is_not_mistaken_for_a_folder_in_use(tmp_path: Path) -> None:
    from filelock import Timeout

    with pytest.raises(Timeout), sweep_lock(tmp_path):
        raise Timeout("another lock")
