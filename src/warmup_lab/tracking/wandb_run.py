"""Opening a W&B run: its arguments, its id, and the folders of earlier attempts.

The W&B id is derived from the run's id and its group. Each attempt starts a W&B run with this id from the
beginning (`resume` is not set). As W&B documents, its history then overwrites that of the earlier attempt, line by line
from the first. A resumed run first sends its whole history, so nothing of a killed attempt remains once the run has got
as far. A forced retraining replaces its predecessor. Offline, the folders of earlier attempts are removed, so that
`wandb sync` uploads only the last one. Under `wandb agent` the id is the one that the agent assigned: the server
identifies a run of the sweep by it, and wandb itself ignores any other id there.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import logging
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from warmup_lab.config import TrackingConfig
from warmup_lab.system import shown_path
from warmup_lab.tracking.names import MAX_NAME_LENGTH, MAX_TAG_LENGTH
from warmup_lab.tracking.settings import parent_folder

if TYPE_CHECKING:
    import wandb


INIT_SECONDS, FINISH_SECONDS = 20.0, 30.0
"""wandb's own time limits for `init` and `finish`."""

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
    """The sweep."""
    job_type: str = "train"
    tags: tuple[str, ...] = ()
    notes: str | None = None
    steps_per_epoch: int | None = None
    """Updates per epoch, for `train/epoch`."""


DEFAULT_PROJECT = "warmup-lab"


def init_arguments(config: TrackingConfig, run: TrackedRun, settings: wandb.Settings) -> dict[str, Any]:
    """The arguments of `wandb.init`: the configuration before wandb's settings before the defaults of this project."""
    in_sweep = run.group is not None or bool(os.environ.get("WANDB_SWEEP_ID"))
    name = settings.run_name
    prefixed = f"{name}-{run.name}" if name and in_sweep else name or run.name
    tags = dict.fromkeys(tag[:MAX_TAG_LENGTH] for tag in (*(settings.run_tags or ()), *run.tags) if tag)
    return {
        "project": config.project or settings.project or DEFAULT_PROJECT,
        "entity": config.entity or settings.entity,
        "dir": str(parent_folder(run.directory)),
        "id": wandb_id(run.run_id, run.group),
        "name": prefixed[:MAX_NAME_LENGTH],
        "group": settings.run_group or run.group,
        "job_type": settings.run_job_type if settings.run_job_type and run.job_type == "train" else run.job_type,
        "tags": list(tags),
        "notes": settings.run_notes or run.notes,
        "config": dict(run.config),
    }


def wandb_id(run_id: str, group: str | None) -> str:
    """Id of the W&B run. It depends on the group, because a run in two sweeps is recorded twice."""
    if os.environ.get("WANDB_SWEEP_ID") and (assigned := os.environ.get("WANDB_RUN_ID")):
        return assigned
    return f"{run_id}-{hashlib.sha256(group.encode()).hexdigest()[:6]}" if group else run_id


def open_run(config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> wandb.Run:
    """Calls `wandb.init` after removing the folders of earlier attempts."""
    import wandb

    with contextlib.suppress(Exception):
        # wandb imports it at the end of `init`, which takes seconds. With a server that does not answer, they would
        # come at the end of the command, when the run is recorded again.
        importlib.import_module("wandb.sdk.launch.inputs.internal")
    _remove_earlier_attempts(Path(arguments["dir"]), arguments["id"])
    _share_lock_of_logging(logging.getLogger("wandb"))
    limits = {"init_timeout": INIT_SECONDS, "finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}
    settings = wandb.Settings(silent=True)
    settings.update_from_dict(limits if config.collect else limits | _NOTHING_COLLECTED)
    mode: Literal["online", "offline"] = "online" if online else "offline"
    plain = json.loads(json.dumps(arguments["config"], default=str))
    return wandb.init(**arguments | {"config": plain}, mode=mode, reinit="create_new", settings=settings)


def _share_lock_of_logging(target: logging.Logger) -> None:
    """Gives handlers that are added to `target` from now on the lock of the module `logging` in place of their own.

    `Handler.close` takes the lock of the handler and then that of the module. `logging.config`, which Hydra calls at
    the start of each job, takes them the other way round. So a W&B run that ended in its thread while the next job
    started could stop both for ever.
    """

    def add(handler: logging.Handler) -> None:
        handler.lock = logging._lock  # type: ignore[attr-defined]  # there is no public name for it
        logging.Logger.addHandler(target, handler)

    target.addHandler = add  # type: ignore[method-assign, assignment]


def _remove_earlier_attempts(directory: Path, run_id: str) -> None:
    name = re.compile(rf"(offline-)?run-\d{{8}}_\d{{6}}-{re.escape(run_id)}(-offline)?(-\d+)?")
    for folder in directory.glob("wandb/*run-*"):
        if name.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def offline_hint(directory: str | Path, what: str = "it") -> str:
    """How to look at the runs in `<directory>/wandb`, and how to upload them."""
    path = shlex.quote(str(shown_path(Path(directory, "wandb"))))
    return f"To view {what}: wandb leet {path}; to upload {what}: wandb sync {path}"


def offline_ids(directory: Path) -> list[str]:
    """The W&B ids of the runs in `<directory>/wandb` that `wandb sync` would upload."""
    files = directory.glob("wandb/offline-run-*/*.wandb")
    return [file.stem.removeprefix("run-") for file in files if not file.with_suffix(".wandb.synced").exists()]
