"""Weights & Biases beside the local files, behind one small interface.

The local files are the truth; nothing here may stop, slow or end a run. So every call into wandb is made by `Guard`,
in a thread of its own, with a time limit: at the first failure it says so once and is quiet from then on.

History: W&B's own step is the row's `step`, so charts need no other axis, and the rows of training and of evaluation at
one update become one row. W&B drops a row whose step lies behind, so an evaluation first sends the update that
`log_every` held back.

Identity: the W&B id is made of the run's id and its group, and a run is always begun anew under it (`resume` unset):
as W&B documents it, the history is then written over the earlier attempt's, line by line from the first. A resumed
run sends its whole trace first, so nothing of a killed attempt is left once it has come as far; a forced retraining
replaces its predecessor.
Offline, the folders of earlier attempts are removed, so that `wandb sync` sends the last one alone.
Under `wandb agent` the id is the one that the agent gave: the server knows the sweep's run by it alone, and wandb
itself heeds no other there.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import math
import numbers
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from warmup_lab.config import TrackingConfig, require
from warmup_lab.tracking.guard import ABANDON, CALL, Guard, first_line, key_problem, reachable

if TYPE_CHECKING:
    import wandb


logger = logging.getLogger(__name__)

Row = Mapping[str, float | int | None]

# Seconds. wandb's own limits (init, finish) come first; the guard allows this grace over them.
INIT, FINISH, GRACE = 20.0, 30.0, 15.0

OFF = ("save_code", "x_save_requirements")
ON = ("disable_git", "disable_code", "label_disable", "x_disable_meta", "x_disable_stats", "x_disable_machine_info")
NAMELESS = {"console": "off", "host": "anon", "program": ""}
NOTHING_COLLECTED: dict[str, Any] = {**dict.fromkeys(OFF, False), **dict.fromkeys(ON, True), **NAMELESS}


class Tracker(Protocol):
    """Where a run is recorded besides its folder. No method raises, and none blocks for long."""

    def log(self, row: Row) -> None:
        """One update, or one evaluation: a row with `step`, and keys such as `eval/loss`."""

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None:
        """The end; a nested `summary` is flattened to keys such as `oscillation/whole/roughness`."""

    def abandon(self) -> None:
        """Interrupted: closes within a few seconds; the history is written anew at resumption."""


class NullTracker:
    """Records nothing."""

    def log(self, row: Row) -> None: ...

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None: ...

    def abandon(self) -> None: ...


def _load_wandb(config: TrackingConfig, directory: Path) -> wandb.Settings | None:
    """wandb's settings as it finds them; None where it cannot be imported."""
    if not sys.modules.get("wandb"):
        os.environ.pop("WANDB_SERVICE", None)  # inherited: a service that ends with the parent process
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_DATA_DIR", str(directory.absolute() / "wandb"))  # of offline tables; else at home
    if not config.collect:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else even an offline run phones home as it ends
    try:
        from wandb.sdk import wandb_setup

        # Here and not first in the guards' threads, which would see one another's half of it.
        return wandb_setup.singleton().settings
    except Exception as error:
        require(config.mode != "online", f"tracking.mode=online: {first_line(error)}; tracking=none does without")
        logger.warning("W&B cannot be used (%s): the local files alone are written", first_line(error))
        return None


def _offline_because(config: TrackingConfig, settings: wandb.Settings) -> str:
    """Why the run is recorded offline; empty where it can go online."""
    if config.mode == "offline":
        return "tracking.mode=offline"
    asked = os.environ.get("WANDB_MODE")
    if config.mode == "auto" and asked in ("offline", "dryrun", "disabled"):
        return f"WANDB_MODE={asked}"
    problem = key_problem(settings)
    require(not problem or config.mode == "auto", f"tracking.mode=online: {problem}; tracking.mode=auto does without")
    return problem or ("" if reachable(settings.base_url) else f"{settings.base_url} cannot be reached")


class WandbTracker:
    """One W&B run."""

    def __init__(self, config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> None:
        self._guard = Guard()
        self._run: wandb.Run | None = None
        self._log_every = config.log_every
        self._held_back: Row | None = None
        self._guard.call(lambda: self._open(config, online, arguments), INIT + GRACE)

    def log(self, row: Row) -> None:
        evaluation = any(key.startswith("eval/") for key in row)
        if not evaluation and int(row["step"] or 0) % self._log_every:
            self._held_back = dict(row)
            return
        if evaluation:
            self._send_held_back()
        self._held_back = None
        self.publish(functools.partial(_log_row, row=dict(row)))

    def publish(self, write: Callable[[wandb.Run], object], seconds: float = CALL) -> None:
        """Has `write` called with the open run."""
        self._guard.call(lambda: self._run and write(self._run), seconds)

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None:
        self._send_held_back()
        self.publish(lambda run: run.summary.update(dict(_flat(summary))))
        self.publish(lambda run: run.finish(exit_code=exit_code), FINISH + GRACE)
        self._guard.close()

    def abandon(self) -> None:
        self._guard.drop()
        self.publish(lambda run: run.finish(exit_code=255))
        self._guard.close(ABANDON)

    def _open(self, config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> None:
        try:
            self._run = _init(config, online, arguments)
        except Exception as error:
            if not online or self._guard.quiet:
                raise
            logger.warning("W&B: offline, since %s. %s", first_line(error), _later(arguments["dir"]))
            # Another id, for the service holds on to the one it failed with.
            self._run = _init(config, False, arguments | {"id": f"{arguments['id']}-offline"})
        else:
            if online:
                logger.info("W&B: %s", self._run.url)

    def _send_held_back(self) -> None:
        if self._held_back is not None:
            self.publish(functools.partial(_log_row, row=self._held_back))
            self._held_back = None


def _log_row(run: wandb.Run, row: Row) -> None:
    run.log({key: value for key, value in _flat(row) if key != "step"}, step=int(row["step"] or 0))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves by their path, without null and what is not finite."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        elif value is not None and (not isinstance(value, numbers.Real) or math.isfinite(value)):
            yield f"{prefix}{key}", value


def _wandb_id(run_id: str, group: str | None) -> str:
    """The same run may be part of two sweeps, and is then two runs of one project; an agent's id comes before ours."""
    if os.environ.get("WANDB_SWEEP_ID") and (given := os.environ.get("WANDB_RUN_ID")):
        return given
    return f"{run_id}-{hashlib.sha256(group.encode()).hexdigest()[:6]}" if group else run_id


def _remove_earlier(directory: Path, wandb_id: str) -> None:
    name = re.compile(rf"(offline-)?run-\d{{8}}_\d{{6}}-{re.escape(wandb_id)}(-offline)?(-\d+)?")
    for folder in directory.glob("wandb/*run-*"):
        if name.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _init(config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> wandb.Run:
    import wandb

    _remove_earlier(Path(arguments["dir"]), arguments["id"])
    limits = {"init_timeout": INIT, "finish_timeout": FINISH, "finish_timeout_raises": True}
    settings = wandb.Settings(silent=True)
    settings.update_from_dict(limits if config.collect else limits | NOTHING_COLLECTED)
    mode: Literal["online", "offline"] = "online" if online else "offline"
    plain = json.loads(json.dumps(arguments["config"], default=str))
    return wandb.init(**arguments | {"config": plain}, mode=mode, reinit="create_new", settings=settings)


def _later(directory: str) -> str:
    return f"To send it later: wandb sync {directory}/wandb"


def _start(config: TrackingConfig, run_id: str, directory: Path, named: dict[str, Any]) -> WandbTracker | None:
    """None where nothing is to be recorded."""
    if config.kind == "none":
        return None
    settings = _load_wandb(config, directory)
    problem = _offline_because(config, settings) if settings else "it is not there"
    if not settings or problem == "WANDB_MODE=disabled":
        return None
    where = {"project": config.project, "entity": config.entity, "dir": str(directory.absolute())}
    arguments = {**named, **where, "id": _wandb_id(run_id, named["group"])}
    if problem:
        level = logging.WARNING if config.mode == "online" else logging.INFO
        logger.log(level, "W&B: offline, since %s. %s", problem, _later(arguments["dir"]))
    return WandbTracker(config, not problem, arguments)


def start_tracker(
    config: TrackingConfig,
    *,
    run_id: str,
    name: str,
    group: str | None,
    job_type: str = "train",
    directory: Path,
    run_config: Mapping[str, Any],
    history: Sequence[Row] = (),
) -> Tracker:
    """The tracker of one run; `history` are the rows of its trace so far, evaluations among or after them.

    `directory` is where W&B's folder `wandb/` lies, one for all runs of a sweep. Raises `ConfigError` where `mode` is
    `online` and there is no API key.
    """
    named = {"name": name, "group": group, "job_type": job_type, "config": dict(run_config)}
    tracker = _start(config, run_id, directory, named) or NullTracker()
    for row in sorted(history, key=lambda row: row["step"] or 0):
        tracker.log(row)
    return tracker
