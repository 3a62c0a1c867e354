"""Recording a run in Weights & Biases, behind one small interface.

The local files are the record of a run. W&B holds a copy, and nothing here may stop, slow or end a run. Therefore
`Guard` makes every call into wandb, in a thread and with a time limit. After the first failure it logs one warning and
records nothing more.

History: the W&B step of a row is the row's `step`. Charts need no other axis, and W&B merges an update and an
evaluation with the same step into one row. `log_every` is applied here and nowhere else. It skips updates, but an
evaluation is always sent together with its update, and the last update is always sent. W&B drops rows whose step is
lower than that of an earlier row, so rows are sent in the order of their steps.

Identity: the W&B id is derived from the run's id and its group. Each attempt starts a W&B run with this id from the
beginning (`resume` is not set). As W&B documents, its history then overwrites that of the earlier attempt, line by line
from the first. A resumed run first sends its whole history, so nothing of a killed attempt remains once the run has got
as far. A forced retraining replaces its predecessor. Offline, the folders of earlier attempts are removed, so that
`wandb sync` uploads only the last one. Under `wandb agent` the id is the one that the agent assigned: the server
identifies a run of the sweep by it, and wandb itself ignores any other id there.
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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from warmup_lab.config import TrackingConfig, require
from warmup_lab.system import reachable
from warmup_lab.tracking.guard import ABANDON_SECONDS, CALL_SECONDS, Guard, first_line, key_problem

if TYPE_CHECKING:
    import wandb


logger = logging.getLogger(__name__)

Row = Mapping[str, float | int | None]

INIT_SECONDS, FINISH_SECONDS = 20.0, 30.0
"""wandb's own time limits for `init` and `finish`."""
GRACE_SECONDS = 15.0
"""The guard waits this much longer than wandb, so that wandb's own limit comes first."""

_OFF = ("save_code", "x_save_requirements")
_ON = ("disable_git", "disable_code", "label_disable", "x_disable_meta", "x_disable_stats", "x_disable_machine_info")
_NOTHING_COLLECTED: dict[str, Any] = {
    **dict.fromkeys(_OFF, False),
    **dict.fromkeys(_ON, True),
    "console": "off",
    "host": "anon",
    "program": "",
}
"""wandb settings for `tracking.collect=false`."""


@dataclass(frozen=True)
class TrackedRun:
    """What identifies a run in W&B."""

    run_id: str
    name: str
    directory: Path
    """Parent of the folder `wandb/`, one for all runs of a sweep."""
    config: Mapping[str, Any]
    group: str | None = None
    job_type: str = "train"


class Tracker(Protocol):
    """Records a run outside its folder. No method raises, and none blocks for long."""

    def log(self, row: Row) -> None:
        """Records an update or an evaluation: a row with `step`, and keys such as `loss` or `eval/loss`."""

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None:
        """Ends the run. A nested `summary` is flattened to keys such as `oscillation/whole/roughness`."""

    def abandon(self) -> None:
        """Closes an interrupted run within a few seconds. When the run resumes, its history is sent again."""


class NullTracker:
    """Records nothing."""

    def log(self, row: Row) -> None: ...

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None: ...

    def abandon(self) -> None: ...


class WandbTracker:
    """Records one W&B run."""

    def __init__(self, config: TrackingConfig, *, online: bool, arguments: dict[str, Any]) -> None:
        """`arguments` are passed to `wandb.init`."""
        self._guard = Guard()
        self._run: wandb.Run | None = None
        self._log_every = config.log_every
        self._unsent_update: Row | None = None
        self._guard.call(lambda: self._open(config, online, arguments), INIT_SECONDS + GRACE_SECONDS)

    def log(self, row: Row) -> None:
        is_evaluation = any(key.startswith("eval/") for key in row)
        if not is_evaluation and int(row["step"] or 0) % self._log_every:
            self._unsent_update = dict(row)
            return
        if is_evaluation:
            self._send_unsent_update()
        self._unsent_update = None
        self.call_with_run(functools.partial(_log_row, row=dict(row)))

    def call_with_run(self, function: Callable[[wandb.Run], object], seconds: float = CALL_SECONDS) -> None:
        """Queues a call of `function` with the open W&B run."""
        self._guard.call(lambda: self._run and function(self._run), seconds)

    def finish(self, summary: Mapping[str, Any], *, exit_code: int = 0) -> None:
        self._send_unsent_update()
        self.call_with_run(lambda run: run.summary.update(dict(_flat(summary))))
        self.call_with_run(lambda run: run.finish(exit_code=exit_code), FINISH_SECONDS + GRACE_SECONDS)
        self._guard.close()

    def abandon(self) -> None:
        self._guard.clear()
        self.call_with_run(lambda run: run.finish(exit_code=255))
        self._guard.close(ABANDON_SECONDS)

    def _open(self, config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> None:
        try:
            self._run = _init(config, online, arguments)
        except Exception as error:
            if not online or self._guard.failed:
                raise
            logger.warning("W&B is offline: %s. %s", first_line(error), _upload_hint(arguments["dir"]))
            # A new id, because the service still holds the id with which it failed.
            self._run = _init(config, False, arguments | {"id": f"{arguments['id']}-offline"})
        else:
            if online:
                logger.info("W&B: %s", self._run.url)

    def _send_unsent_update(self) -> None:
        if self._unsent_update is not None:
            self.call_with_run(functools.partial(_log_row, row=self._unsent_update))
            self._unsent_update = None


def _log_row(run: wandb.Run, row: Row) -> None:
    run.log({key: value for key, value in _flat(row) if key != "step"}, step=int(row["step"] or 0))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested mapping by their path, without None and values that are not finite."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        elif value is not None and (not isinstance(value, numbers.Real) or math.isfinite(value)):
            yield f"{prefix}{key}", value


def start_tracker(config: TrackingConfig, run: TrackedRun, history: Sequence[Row] = ()) -> Tracker:
    """The tracker of one run.

    Args:
        config: whether and how to record.
        run: what identifies the run.
        history: rows that a resumed run has recorded before, in any order.

    Raises:
        ConfigError: `tracking.mode` is `online` and there is no usable API key, or wandb cannot be imported.
    """
    tracker = start_wandb(config, run) or NullTracker()
    for row in sorted(history, key=lambda row: row["step"] or 0):
        tracker.log(row)
    return tracker


def start_wandb(config: TrackingConfig, run: TrackedRun) -> WandbTracker | None:
    """The W&B tracker of a run, or None if nothing is to be recorded. Raises as `start_tracker` does."""
    if config.kind == "none":
        return None
    settings = _load_wandb(config, run.directory)
    reason = _offline_reason(config, settings) if settings else ""
    if not settings or reason == "WANDB_MODE=disabled":
        return None
    arguments: dict[str, Any] = {
        "project": config.project,
        "entity": config.entity,
        "dir": str(run.directory.absolute()),
        "id": _wandb_id(run.run_id, run.group),
        "name": run.name,
        "group": run.group,
        "job_type": run.job_type,
        "config": dict(run.config),
    }
    if reason:
        level = logging.WARNING if config.mode == "online" else logging.INFO
        logger.log(level, "W&B is offline: %s. %s", reason, _upload_hint(arguments["dir"]))
    return WandbTracker(config, online=not reason, arguments=arguments)


def _load_wandb(config: TrackingConfig, directory: Path) -> wandb.Settings | None:
    """wandb's settings, or None if wandb cannot be imported."""
    if not sys.modules.get("wandb"):
        os.environ.pop("WANDB_SERVICE", None)  # inherited from a parent process, whose service ends with it
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_DATA_DIR", str(directory.absolute() / "wandb"))  # offline tables; default: home folder
    if not config.collect:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # otherwise even an offline run sends data at its end
    try:
        from wandb.sdk import wandb_setup

        # Imported here first: in the threads of the guards, one could see a module that another has half imported.
        return wandb_setup.singleton().settings
    except Exception as error:
        require(
            config.mode != "online",
            f"tracking.mode=online: wandb cannot be used: {first_line(error)}; tracking=none does not need it",
        )
        logger.warning("wandb cannot be used (%s), so only the local files are written", first_line(error))
        return None


def _offline_reason(config: TrackingConfig, settings: wandb.Settings) -> str:
    """Why the run is recorded offline; empty if it can go online."""
    if config.mode == "offline":
        return "tracking.mode=offline"
    mode = os.environ.get("WANDB_MODE")
    if config.mode == "auto" and mode in ("offline", "dryrun", "disabled"):
        return f"WANDB_MODE={mode}"
    problem = key_problem(settings)
    require(
        not problem or config.mode == "auto", f"tracking.mode=online: {problem}; tracking.mode=auto does not need a key"
    )
    return problem or ("" if reachable(settings.base_url) else f"{settings.base_url} is not reachable")


def _wandb_id(run_id: str, group: str | None) -> str:
    """Differs between groups, because a run in two sweeps is recorded twice. The id of an agent has priority."""
    if os.environ.get("WANDB_SWEEP_ID") and (assigned := os.environ.get("WANDB_RUN_ID")):
        return assigned
    return f"{run_id}-{hashlib.sha256(group.encode()).hexdigest()[:6]}" if group else run_id


def _init(config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> wandb.Run:
    import wandb

    _remove_earlier_attempts(Path(arguments["dir"]), arguments["id"])
    limits = {"init_timeout": INIT_SECONDS, "finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}
    settings = wandb.Settings(silent=True)
    settings.update_from_dict(limits if config.collect else limits | _NOTHING_COLLECTED)
    mode: Literal["online", "offline"] = "online" if online else "offline"
    plain = json.loads(json.dumps(arguments["config"], default=str))
    return wandb.init(**arguments | {"config": plain}, mode=mode, reinit="create_new", settings=settings)


def _remove_earlier_attempts(directory: Path, wandb_id: str) -> None:
    name = re.compile(rf"(offline-)?run-\d{{8}}_\d{{6}}-{re.escape(wandb_id)}(-offline)?(-\d+)?")
    for folder in directory.glob("wandb/*run-*"):
        if name.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _upload_hint(directory: str) -> str:
    return f"To upload it later: wandb sync {directory}/wandb"
