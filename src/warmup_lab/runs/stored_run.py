"""The files of a run as they are found on disk: read, checked against their digests, set aside if they are damaged.

`result.json` has the SHA-256 of both tables and of itself (schema 2). A damaged run counts as unfinished: it is named,
never used, and trained again by the command that trained it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmup_lab.runs.replacement import CHECKPOINT, RESULT, complete_replacement, digest_of_new
from warmup_lab.system import atomic_path, file_digest, naming_errors, set_aside, sync_folder, write_json

SCHEMA = 2
"""Of the `result.json` that this version writes. It reads 1 too, which has no digests."""
TRACE, EVALS = "trace.parquet", "evals.parquet"
RETRAIN = ".retrain"
"""A file with the SHA-256 of the `result.json` that another training is about to replace. It stays until then."""
FINISHED = ("completed", "diverged")
"""Status values of a finished run, which the same command skips. Divergence is a result."""
_STATUSES = (*FINISHED, "error")
_SECTIONS = {"run_id": str, "status": str, "metrics": dict, "speed": dict, "strategy": dict}
"""What a result of schema 1 must have to be used."""


@dataclass(frozen=True)
class StoredRun:
    """What the folder of a run holds."""

    result: dict[str, Any] | None = None
    """The content of `result.json`; None if there is none, or if it must not be used."""
    problem: str | None = None
    """Why the result must not be used: `trace.parquet is missing`, or `holds another run, 0123456789ab`."""
    damaged: tuple[Path, ...] = ()
    """The files to set aside, so that the run counts as unfinished."""
    verified: bool = False
    """Whether the files match their digests. A result of schema 1 has none."""
    retrained: bool = False
    """Whether the result is about to be replaced by that of another training."""

    @property
    def finished(self) -> dict[str, Any] | None:
        """The result, if the same command skips the run."""
        return self.result if self.result and is_finished(self.result["status"]) and not self.retrained else None

    @property
    def refused(self) -> bool:
        """Whether the result is intact, but that of another run or of a newer version."""
        return self.problem is not None and not self.damaged


def is_finished(status: str | None) -> bool:
    """Whether a run with this status is skipped by the same command."""
    return status in FINISHED


# ------------------------------------------------------------------------------------------------------------- reading


def read_run(directory: Path, run_id: str | None = None) -> StoredRun:
    """The run in `directory`, with all its files checked. `run_id`: refuses the result of another run.

    What a process that was killed after it had written the result left to do is done: renames, and the removal of the
    checkpoints.

    Raises:
        OSError: a file cannot be read, for example because of its permissions. That does not count as damage.
    """
    found = _read_json(directory / RESULT)
    result = found.result
    if result is None:
        return found
    if run_id is not None and result["run_id"] != run_id:
        return StoredRun(problem=f"holds another run, {result['run_id']}")
    if is_finished(result["status"]):
        complete_replacement(directory, _digests(result))
        problems = _damaged_tables(directory, result)
        if problems:
            if _read_json(directory / RESULT).result not in (None, result):  # replaced while it was read
                return read_run(directory, run_id)
            damaged = [directory / RESULT, *(path for name in problems if (path := directory / name).exists())]
            return StoredRun(problem=", ".join(problems.values()), damaged=tuple(damaged))
    found = StoredRun(result, verified=result["schema"] >= SCHEMA, retrained=_is_retrained(directory))
    if found.finished and (directory / CHECKPOINT).is_dir():
        shutil.rmtree(directory / CHECKPOINT, ignore_errors=True)
    return found


def read_result(directory: Path) -> dict[str, Any] | None:
    """The content of `result.json` in `directory`. The tables are not read.

    None if there is no such file, if it is damaged, or if the run is being trained again.
    """
    result = _read_json(directory / RESULT).result
    return None if result and _is_retrained(directory) else result


def finished_result(directory: Path, run_id: str | None = None) -> dict[str, Any] | None:
    """The result of the run in `directory` if the run completed or diverged and its files are intact, else None."""
    return read_run(directory, run_id).finished


def _is_retrained(directory: Path) -> bool:
    """Whether the result in place is about to be replaced. A mark of an earlier result says nothing about this one."""
    try:
        marked = (directory / RETRAIN).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return not marked or marked == file_digest(directory / RESULT)  # empty: by a version without digests


def _read_json(path: Path) -> StoredRun:
    """The result alone."""
    try:
        with naming_errors(path):
            content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return StoredRun()
    except IsADirectoryError:
        return StoredRun(problem=f"{path.name} is a folder", damaged=(path,))
    try:
        result = json.loads(content)
    except (ValueError, RecursionError):
        return StoredRun(problem=f"{path.name} is {'not JSON' if content else 'empty'}", damaged=(path,))
    if isinstance(result, dict) and isinstance(schema := result.get("schema"), int) and schema > SCHEMA:
        return StoredRun(problem=f"holds a {path.name} of schema {schema}, which only a later warmup-lab reads")
    problem = _damage_of(result)
    return StoredRun(problem=f"{path.name} {problem}", damaged=(path,)) if problem else StoredRun(result)


def _damage_of(result: Any) -> str | None:
    """What is wrong with the content of a `result.json`."""
    if not isinstance(result, dict) or result.get("schema") not in (1, SCHEMA):
        return "has no schema"
    if result["schema"] == SCHEMA and result.get("sha256") != _own_digest(result):
        return "does not match its own SHA-256"
    wrong = [name for name, kind in _SECTIONS.items() if not isinstance(result.get(name), kind)]
    if wrong or "error" not in result or result["status"] not in _STATUSES:
        return f"has no valid {(wrong or ['status'])[0]}"
    return None


def _own_digest(result: Mapping[str, Any]) -> str:
    """SHA-256 of a result without its key `sha256`, as JSON with sorted keys."""
    content = {key: value for key, value in result.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digests(result: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the tables of a finished run; empty for schema 1."""
    return dict(result["files"]) if result["schema"] >= SCHEMA else {}


def _damaged_tables(directory: Path, result: Mapping[str, Any]) -> dict[str, str]:
    """The tables of a finished run that cannot be used: name -> what is wrong."""
    digests: Mapping[str, str | None] = _digests(result) or {TRACE: None}
    problems = {}
    for name, digest in digests.items():
        path = directory / name
        if not path.exists():
            problems[name] = f"{name} is missing"
        elif not path.is_file():
            problems[name] = f"{name} is not a file"
        elif digest is None:
            problems |= {} if _is_readable(path) else {name: f"{name} cannot be read"}
        elif file_digest(path) != digest:
            problems[name] = f"{name} does not match its SHA-256 in {RESULT}"
    return problems


def _is_readable(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk; pyarrow's own errors have no number
            raise
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- writing


def write_result(directory: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Writes `result.json` with the digests of the tables and of itself; returns its content.

    It is on the disk afterwards, and replaces the result of an earlier training.
    """
    content = with_digests(directory, result)
    if (directory / RESULT).exists():
        sync_folder(directory)  # the new tables have their names before the result that they replace is gone
    write_json(directory / RESULT, content, durable=True)
    sync_folder(directory)
    complete_replacement(directory, content["files"])
    (directory / RETRAIN).unlink(missing_ok=True)
    return content


def with_digests(directory: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `result.json` with `files`, the digests of the tables in `directory`, and its own `sha256`."""
    tables = (TRACE, EVALS) if is_finished(result["status"]) else ()
    files = {name: digest_of_new(directory, name) for name in tables}
    content: dict[str, Any] = json.loads(json.dumps({**result, "files": files}, allow_nan=False))
    return content | {"sha256": _own_digest(content)}


def set_aside_damaged(run: StoredRun) -> list[str]:
    """Renames the damaged files of a run; returns their new names. `result.json` comes first."""
    return [set_aside(path).name for path in run.damaged]


def start_retraining(directory: Path) -> None:
    """Makes the run in `directory` count as unfinished if it has a result, which stays until it is replaced."""
    if (directory / RESULT).is_file():
        with atomic_path(directory / RETRAIN) as temporary:
            temporary.write_text(file_digest(directory / RESULT), encoding="utf-8")
