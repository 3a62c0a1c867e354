"""Reading W&B's offline runs, and starting trackers with made-up rows."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from program import ROOT

from warmup_lab.config.schema import TrackingConfig
from warmup_lab.system import network
from warmup_lab.tracking.tracker import Tracker, start_tracker
from warmup_lab.tracking.wandb_run import TrackedRun

OFFLINE = TrackingConfig(mode="offline")
SET_BY_TRACKERS = ("WANDB_SILENT", "WANDB_DATA_DIR", "WANDB_ERROR_REPORTING", "WANDB_SERVICE", "WANDB_API_KEY")
RUN_ID = "0123456789ab"
NAME = "warmupcosine-w36-lr0.001-s0"


@contextmanager
def no_settings_of_the_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """wandb without settings, keys or caches of the user, and without a service from an earlier test."""
    for name in [key for key in os.environ if key.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in SET_BY_TRACKERS:
        monkeypatch.setenv(name, "")  # so that monkeypatch removes what the test sets
        monkeypatch.delenv(name)
    for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(home / name))
    yield
    if wandb := sys.modules.get("wandb"):
        wandb.teardown()
    network.reachable.cache_clear()


def start(
    directory: Path, tracking: TrackingConfig = OFFLINE, *, history: list[dict[str, Any]] | None = None, **given: Any
) -> Tracker:
    """A tracker of the run `NAME` of a sweep with 10 updates an epoch; `given` are other fields of `TrackedRun`."""
    fields = {"run_id": RUN_ID, "name": NAME, "group": "ten_percent", "config": {}, "steps_per_epoch": 10}
    return start_tracker(tracking, TrackedRun(**{"directory": directory, **fields, **given}), history or [])


def update_row(step: int) -> dict[str, Any]:
    """The row of an update."""
    return {"step": step, "epoch": step / 10, "lr": 1e-3, "loss": 1 / (step + 1), "grad_norm": 2.0}


def wandb_row(step: int) -> dict[str, Any]:
    """The same row as W&B has it."""
    return {
        "_step": step,
        "train/global_step": step + 1,
        "train/epoch": (step + 1) / 10,
        "train/learning_rate": 1e-3,
        "train/loss": 1 / (step + 1),
        "train/grad_norm": 2.0,
    }


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the trackers logged."""
    return [record.message for record in caplog.records if record.name.startswith("warmup_lab.tracking.")]


def assert_anonymous(sent: bytes) -> None:
    """Checks that the bytes sent to W&B contain no name of this machine, user, folder or command."""
    private = [socket.gethostname(), platform.node(), sys.executable, str(ROOT), str(Path.cwd())]
    private += ["a-secret-of", "a line on"]
    private += [argument for argument in sys.argv if len(argument) > 5]
    if len(getpass.getuser()) > 4:
        private.append(getpass.getuser())
    # As words: W&B's random ids may contain a short name such as `vm`.
    assert [text for text in private if re.search(rb"(?<!\w)%b(?!\w)" % re.escape(text.encode()), sent)] == []


class OfflineRun:
    """An offline run, read from its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = list(_records(folder))
        self.run = next(record.run for record in self.records if record.HasField("run"))
        self.config = _items(self.run.config.update)
        rows = [_items(record.history.item) for record in self.records if record.HasField("history")]
        times = ("_timestamp", "_runtime")
        self.history = [{key: value for key, value in row.items() if key not in times} for row in rows]
        self.steps = [row["_step"] for row in self.history]
        self.summary: dict[str, Any] = {}
        for record in self.records:
            if record.HasField("summary"):
                self.summary |= _items(record.summary.update)
                for item in record.summary.remove:
                    self.summary.pop(item.key, None)
        self.exit_code = [record.exit.exit_code for record in self.records if record.HasField("exit")]


def offline_runs(directory: Path, run_id: str = "") -> list[OfflineRun]:
    """The offline runs in `<directory>/wandb`, those of one run id if it is given."""
    folders = sorted(directory.glob(f"wandb/offline-run-*_*-{run_id}*"))
    limit = time.monotonic() + 5
    for folder in folders:  # wandb's service completes the file a moment after it has reported the end
        while not any(record.HasField("exit") for record in _records(folder)) and time.monotonic() < limit:
            time.sleep(0.02)
    return [OfflineRun(folder) for folder in folders]


def only_offline_run(directory: Path) -> OfflineRun:
    (run,) = offline_runs(directory)
    return run


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
        if place + 7 + length > len(data):  # it is just being written
            return
        pending += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(pending)
            pending = b""


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
