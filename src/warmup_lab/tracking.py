"""Weights & Biases beside the local files, behind one small interface.

The local files are the truth; nothing here may stop, slow or end a run. So every call into wandb is made by `_Guard`,
in a thread of its own, with a time limit: at the first failure it says so once and is quiet from then on.

History: W&B's own step is the row's `step`, so charts need no other axis, and the rows of training and of evaluation at
one update become one row. W&B drops a row whose step lies behind, so an evaluation first sends the update that
`log_every` held back.

Identity: the W&B id is made of the run's id and its group, and a run is always begun anew under it (`resume` unset):
as W&B documents it, the history is then written over the earlier attempt's, line by line from the first. A resumed
run sends its whole trace first, so nothing of a killed attempt is left once it has come as far; a forced retraining
replaces its predecessor.
Offline, the folders of earlier attempts are removed, so that `wandb sync` sends the last one alone.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import importlib.util
import json
import logging
import math
import numbers
import os
import queue
import re
import shutil
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from warmup_lab.schema import TrackingConfig, require

if TYPE_CHECKING:
    import pandas as pd
    import wandb

logger = logging.getLogger(__name__)

Row = Mapping[str, float | int | None]
Series = Mapping[str, Mapping[str, Sequence[tuple[float, float | None]]]]
"""Metric -> arm -> (updates of warmup, value)."""

# Seconds. wandb's own limits (init, finish) come first; the guard's are for a service that answers nothing at all.
PROBE, INIT, FINISH, CALL, ABANDON, GRACE = 2.0, 20.0, 30.0, 15.0, 3.0, 15.0

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


class _Guard:
    """Makes the calls into wandb, one after another, in a thread; what they raise or block stays there."""

    def __init__(self) -> None:
        self.quiet = False
        self._calls: queue.SimpleQueue[tuple[Callable[[], object], float] | None] = queue.SimpleQueue()
        self._deadline = math.inf
        self._done = threading.Event()
        # A daemon: a call that never returns must not keep the process alive.
        threading.Thread(target=self._work, name="wandb-guard", daemon=True).start()

    def call(self, function: Callable[[], object], seconds: float = CALL) -> None:
        """Queues a call; returns at once."""
        if not self.quiet and not self._overrun():
            self._calls.put((function, seconds))

    def drop(self) -> None:
        """Forgets what is queued."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()

    def close(self, seconds: float = math.inf) -> None:
        """Waits for the queued calls: for each within its limit, for all within `seconds`."""
        self._calls.put(None)
        limit = time.monotonic() + seconds
        while not self._done.wait(0.05):
            if time.monotonic() > limit:
                self.quiet = True
                _end_service()
            if self.quiet or self._overrun():
                self._done.wait(ABANDON)
                return

    def _work(self) -> None:
        while call := self._calls.get():
            function, seconds = call
            self._deadline = time.monotonic() + seconds
            try:
                function()
            except BaseException as error:  # wandb calls sys.exit, too
                self._fail(_first_line(error))
                _forget_dead_service()
                break
            finally:
                self._deadline = math.inf
        self._done.set()

    def _overrun(self) -> bool:
        if time.monotonic() <= self._deadline:
            return False
        self._fail("it does not answer")
        _end_service()
        return True

    def _fail(self, why: str) -> None:
        if not self.quiet:
            logger.warning("W&B stopped recording this run (%s). It goes on, and its local files are whole.", why)
        self.quiet = True


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def _service() -> Any:
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton()._connection._proc._process  # type: ignore[union-attr]


def _end_service() -> None:
    """Ends a service that does not answer: calls that block then raise, and the process can exit."""
    with contextlib.suppress(Exception):
        _service().kill()


def _forget_dead_service() -> None:
    """Lets the next run of this process start a service anew, and spares the process a traceback at its exit."""
    with contextlib.suppress(Exception, SystemExit):
        _service().wait(timeout=1)
        import wandb

        wandb.teardown()


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
        require(config.mode != "online", f"tracking.mode=online: {_first_line(error)}; tracking=none does without")
        logger.warning("W&B cannot be used (%s): the local files alone are written", _first_line(error))
        return None


def _key_problem(settings: wandb.Settings) -> str:
    """Why wandb finds no API key, in words; empty where it finds one. Never a prompt."""
    from wandb.sdk.lib import wbauth

    try:
        host = wbauth.HostUrl(settings.base_url, app_url=settings.app_url)
        found = wbauth.authenticate_session(host=host, source="warmup-lab", prompt=False, update_session=False)
    except Exception as error:
        return f"the API key cannot be used: {_first_line(error)}"
    return "" if found else "there is no API key (`wandb login`, or WANDB_API_KEY)"


@functools.cache
def _reachable(url: str) -> bool:
    """Whether the server, or the proxy before it, takes a connection; asked once a process."""
    connected = threading.Event()

    def connect() -> None:
        parts = urllib.parse.urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
            parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        with contextlib.suppress(OSError, ValueError):
            address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            socket.create_connection(address, timeout=PROBE).close()
            connected.set()

    # A thread, for looking up the name heeds no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PROBE)
    return connected.is_set()


def _offline_because(config: TrackingConfig, settings: wandb.Settings) -> str:
    """Why the run is recorded offline; empty where it can go online."""
    if config.mode == "offline":
        return "tracking.mode=offline"
    asked = os.environ.get("WANDB_MODE")
    if config.mode == "auto" and asked in ("offline", "dryrun", "disabled"):
        return f"WANDB_MODE={asked}"
    problem = _key_problem(settings)
    require(not problem or config.mode == "auto", f"tracking.mode=online: {problem}; tracking.mode=auto does without")
    return problem or ("" if _reachable(settings.base_url) else f"{settings.base_url} cannot be reached")


class WandbTracker:
    """One W&B run."""

    def __init__(self, config: TrackingConfig, online: bool, arguments: dict[str, Any]) -> None:
        self._guard = _Guard()
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
            logger.warning("W&B: offline, since %s. %s", _first_line(error), _later(arguments["dir"]))
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
    """The same run may be part of two sweeps, and is then two runs of one project."""
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


def log_summary_run(
    config: TrackingConfig,
    *,
    name: str,
    group: str,
    directory: Path,
    run_config: Mapping[str, Any],
    table: pd.DataFrame,
    series: Series,
    figures: Sequence[Path] = (),
    summary: Mapping[str, Any] | None = None,
) -> None:
    """One run of `job_type` summary at the end of a sweep, in place of an earlier one.

    `table` has a row a run; `figures` are PNG files.
    """
    named = {"name": name, "group": group, "job_type": "summary", "config": dict(run_config)}
    if tracker := _start(config, "summary", directory, named):
        tracker.publish(lambda run: _log_series(run, series), INIT)
        tracker.publish(lambda run: _log_exhibits(run, table, figures), FINISH)
        tracker.finish(summary or {})


def _log_series(run: wandb.Run, series: Series) -> None:
    """A metric an arm, with the updates of warmup as their axis; and a chart a metric, with a line an arm."""
    import wandb

    rows: dict[float, dict[str, float]] = {}
    for metric, arms in series.items():
        run.define_metric(f"{metric}/*", step_metric="warmup_steps")
        lines = {arm: [(x, y) for x, y in points if y is not None and math.isfinite(y)] for arm, points in arms.items()}
        for arm, line in lines.items():
            for x, y in line:
                rows.setdefault(x, {"warmup_steps": x})[f"{metric}/{arm}"] = y
        xs, ys = ([[point[axis] for point in line] for line in lines.values()] for axis in (0, 1))
        chart = wandb.plot.line_series(xs, ys, keys=list(lines), title=metric, xname="warmup_steps")
        run.log({f"charts/{metric}": chart}, commit=False)
        _clean_up(chart.table)
    for x in sorted(rows):
        run.log(rows[x])


def _log_exhibits(run: wandb.Run, table: pd.DataFrame, figures: Sequence[Path]) -> None:
    import wandb

    cells: list[Any] = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    runs = wandb.Table(columns=[str(name) for name in table.columns], data=cells, allow_mixed_types=True)
    run.log({"runs": runs, **{f"figures/{path.stem}": _figure(path) for path in figures}})
    _clean_up(runs)


def _clean_up(table: wandb.Table) -> None:
    """wandb leaves a logged table's temporary folder to the garbage collector, which warns."""
    with contextlib.suppress(AttributeError):
        table._artifact_target.artifact._tmp_dir.cleanup()  # type: ignore[union-attr]


def _figure(path: Path) -> wandb.Image | wandb.Html:
    """An image; where there is no Pillow, which `wandb.Image` needs, a page that shows it."""
    import wandb

    if importlib.util.find_spec("PIL"):
        return wandb.Image(str(path))
    data = base64.b64encode(path.read_bytes()).decode()
    return wandb.Html(f'<img src="data:image/png;base64,{data}" style="max-width: 100%">', inject=False)
