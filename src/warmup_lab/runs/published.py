"""Runs and sweeps whose `output` is a URL: they work in a local scratch folder and are published file by file.

In the store a run has

    <run_id>/result.json                  created once, as the last file: the run is finished
    <run_id>/<digest>/trace.parquet ...   the other files of that result; <digest> is the start of its `sha256`
    <run_id>/checkpoint/state-*.pt        while it is unfinished
    <run_id>/error.json                   the result of a run that ended in an error, which is tried again

and a sweep has the files of its local folder beside its runs. Of two writers of one run, the first to create
`result.json` wins. The files of both have different names, so the second removes its own and takes the result.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmup_lab.config import is_url, require
from warmup_lab.runs.mirror import ERROR, MARK, folder_of, update_results
from warmup_lab.runs.output import output_folder
from warmup_lab.runs.replacement import CHECKPOINT, MODEL, RESULT
from warmup_lab.runs.store import Store, StoreError, existing, read_sha256
from warmup_lab.runs.stored_run import EVALS, TRACE, is_finished, read_result
from warmup_lab.system import atomic_path, file_digest

log = logging.getLogger(__name__)
_UPLOADED = (TRACE, EVALS, "train.log", ".hydra", MODEL)
_LOG = "sweep_log.jsonl"


# ------------------------------------------------------------------------------------------------------------- one run


@dataclass
class PublishedRun:
    """One run of an `output` that is a URL. The caller holds the lock of its local folder."""

    store: Store
    """The run's folder in the store."""
    directory: Path
    """Its local folder."""
    _checkpoints: set[str] = field(default_factory=set)
    """Names of the checkpoints that this process published or fetched."""

    def fetch(self) -> None:
        """Brings the local folder up to what is published: the result, or else the latest checkpoint.

        A result here that is not published yet is published.
        """
        names = self.store.list()
        if update_results(self.store, {"": names}, {"": self.directory}):
            return
        if is_finished((read_result(self.directory) or {}).get("status")):
            self.publish_result()
            return
        latest = max((name for name in names if _is_checkpoint(name)), default=None)
        local = max(self._local_checkpoints(), default="")
        if latest and latest > local:
            with atomic_path(self.directory / latest) as temporary:
                self.store.download({latest: temporary})
            log.info("the checkpoint %s comes from %s", Path(latest).name, self.store.url)
        self._checkpoints = self._local_checkpoints() & set(names)

    def publish_checkpoints(self) -> None:
        """Publishes the checkpoints that are here, and removes older ones of this process. A failure is a warning."""
        local = self._local_checkpoints()
        try:
            self.store.upload({name: self.directory / name for name in local - self._checkpoints})
            self.store.remove(self._checkpoints - local)
        except StoreError as error:
            log.warning("the checkpoint is saved here but not published: %s", error)
        else:
            self._checkpoints = local

    def publish_error(self) -> None:
        """Publishes the result of a run that ended in an error."""
        self.store.upload({ERROR: self.directory / RESULT})

    def publish_result(self) -> dict[str, Any]:
        """Publishes the finished result that is here; returns the published one, which another writer may have made.

        Raises:
            StoreError: the store refuses a file or does not answer. The result stays here, and the same command
                publishes it.
        """
        digest = read_sha256(self.directory / RESULT)
        assert digest is not None
        folder = folder_of(digest)
        files = {f"{folder}/{name}": self.directory / name for name in existing(self.directory, _UPLOADED)}
        self.store.upload(files)
        if self.store.create(RESULT, (self.directory / RESULT).read_bytes()) or self._is_published(digest):
            (self.directory / MARK).write_text(digest, encoding="utf-8")
            names = self.store.list()
            self.store.remove(name for name in names if name.startswith(f"{CHECKPOINT}/") or name == ERROR)
        else:
            log.warning(
                "%s was published by another process first, so that result counts and this one is discarded",
                self.store.url,
            )
            self.store.remove([*files, *self._checkpoints])
            update_results(self.store, {"": self.store.list()}, {"": self.directory})
        self._checkpoints = set()
        result = read_result(self.directory)
        require(result is not None, f"{self.store.url}/{RESULT} is damaged: remove it there to train the run again")
        return dict(result or {})

    def _is_published(self, digest: str) -> bool:
        """Whether the published result is this one: a store may answer late, after a request that was sent again."""
        content = self.store.read(RESULT)
        return content is not None and digest.encode() in content

    def _local_checkpoints(self) -> set[str]:
        return {name for name in existing(self.directory, (CHECKPOINT,)) if _is_checkpoint(name)}


def published_run(output: str, directory: Path) -> PublishedRun | None:
    """The run in the local folder `directory`; None unless `output` is a URL.

    Raises:
        ConfigError: the folder is not below that of `output`.
    """
    store = _store_of(output, directory)
    return PublishedRun(store, directory) if store else None


def _is_checkpoint(name: str) -> bool:
    return name.startswith(f"{CHECKPOINT}/state-") and name.endswith(".pt")


# --------------------------------------------------------------------------------------------------------------- sweeps


@dataclass
class PublishedSweep:
    """A sweep of an `output` that is a URL."""

    store: Store
    """The sweep's folder in the store."""
    directory: Path
    """Its local folder."""
    _published: dict[str, str] = field(default_factory=dict)
    """Name of a file -> its digest when it was published or fetched last."""

    def fetch(self) -> bool:
        """Brings the local folder up to what is published, with one listing. False if nothing is published."""
        names = self.store.list()
        runs: dict[str, list[str]] = {}
        for name in names:
            folder, _, rest = name.partition("/")
            if rest:
                runs.setdefault(folder, []).append(rest)
        if self.directory.is_dir():  # of results that are not published any more
            runs = {path.parent.name: [] for path in self.directory.glob(f"*/{MARK}")} | runs
        update_results(self.store, runs, {run: self.directory / run for run in runs})
        own = [name for name in names if _is_of_sweep(name) and "/" not in name and name != _LOG]
        self.directory.mkdir(parents=True, exist_ok=True)
        self.store.download({name: self.directory / name for name in own})
        self._merge_log()
        self._published |= {name: file_digest(self.directory / name) for name in own}
        return bool(names)

    def publish(self) -> None:
        """Publishes the files of the sweep that changed: job list, log, report, tables and figures."""
        self._merge_log()
        names = [path.name for path in self.directory.iterdir() if path.is_file()]
        now = {
            name: file_digest(self.directory / name)
            for name in existing(self.directory, [*names, "figures"])
            if _is_of_sweep(name)
        }
        changed = {name: self.directory / name for name, digest in now.items() if self._published.get(name) != digest}
        self.store.upload(changed)
        self._published |= now

    def _merge_log(self) -> None:
        """Puts the lines of the published log before those that only the local one has: none is ever lost."""
        published, path = self.store.read(_LOG) or b"", self.directory / _LOG
        local = path.read_bytes() if path.exists() else b""
        lines = dict.fromkeys([*published.splitlines(), *local.splitlines()])
        merged = b"".join(line + b"\n" for line in lines)
        if merged != local:
            path.write_bytes(merged)


def published_sweep(output: str, directory: Path) -> PublishedSweep | None:
    """The sweep in the local folder `directory`; None unless `output` is a URL.

    Raises:
        ConfigError: the folder is not below that of `output`.
    """
    store = _store_of(output, directory)
    return PublishedSweep(store, directory) if store else None


def sweep_at(location: str) -> PublishedSweep | None:
    """The sweep at a URL, such as `s3://bucket/runs/sweep`; None for a folder."""
    if not is_url(location):
        return None
    output, _, name = location.rstrip("/").rpartition("/")
    require("://" in output and not output.endswith("/"), f"{location}: name a sweep, such as {location}/runs/sweep")
    return published_sweep(output, output_folder(output) / name)


def _is_of_sweep(name: str) -> bool:
    """Not locks and other files of this machine."""
    return not name.startswith(".") and not name.endswith(".tmp")


def check_output_works(output: str) -> None:
    """Raises `ConfigError` if `output` is a URL that cannot be written to."""
    if is_url(output):
        Store(output.rstrip("/")).check()


def _store_of(output: str, directory: Path) -> Store | None:
    if not is_url(output):
        return None
    root = output_folder(output)
    folder = directory.absolute()
    require(
        folder.is_relative_to(root) and folder != root,
        f"output={output} publishes what is in {root}, and this command writes to {directory}: remove hydra.run.dir "
        "and hydra.sweep.dir",
    )
    return Store(output.rstrip("/")).below(*folder.relative_to(root).parts)
