"""Local copies of published results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from warmup_lab.runs.replacement import RESULT
from warmup_lab.runs.store import Store, read_sha256
from warmup_lab.runs.stored_run import EVALS, TRACE

ERROR = "error.json"
"""Name in the store of the result of a run that ended in an error."""
MARK = ".published"
"""A local file with the `sha256` of the result beside it, which is in the store."""
_DIGITS = 16
_NEW = ".fetched.tmp"


def folder_of(digest: str) -> str:
    """The folder in the store, below that of its run, with the other files of the result with this `sha256`."""
    return digest[:_DIGITS]


def update_results(store: Store, published: Mapping[str, list[str]], folders: Mapping[str, Path]) -> bool:
    """Copies published results, with their tables, to local folders; removes copies of what is no longer published.

    Args:
        store: the folder of the runs.
        published: the names of all files of each run.
        folders: the local folder of each run.

    Returns:
        Whether the last run has a published result.
    """
    to_fetch: dict[str, Path] = {}
    has_result = False
    for run, names in published.items():
        folder, found = folders[run], set(names)
        has_result = RESULT in found
        digest = copied(folder)
        if has_result and digest and any(name.startswith(f"{folder_of(digest)}/") for name in found):
            continue
        if digest:
            remove_result(folder)
        source = RESULT if has_result else ERROR if ERROR in found and not (folder / RESULT).exists() else None
        if source:
            folder.mkdir(parents=True, exist_ok=True)
            to_fetch["/".join(filter(None, (run, source)))] = folder
    _copy(store, to_fetch, {"/".join(filter(None, (run, name))) for run, names in published.items() for name in names})
    return has_result


def copied(folder: Path) -> str | None:
    """The digest of the local result if it is a copy of a published one."""
    try:
        marked = (folder / MARK).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return marked if marked == read_sha256(folder / RESULT) else None


def remove_result(folder: Path) -> None:
    """Removes the local result and its tables."""
    for name in (RESULT, MARK, TRACE, EVALS):
        (folder / name).unlink(missing_ok=True)


def _copy(store: Store, sources: Mapping[str, Path], listed: set[str]) -> None:
    """Copies results and their tables, in two rounds of parallel reads. A result gets its name last.

    `sources`: name of a result in the store -> the local folder of its run.
    """
    store.download({name: folder / _NEW for name, folder in sources.items()})
    tables: dict[str, Path] = {}
    digests = {name: read_sha256(folder / _NEW) for name, folder in sources.items()}
    for name, folder in sources.items():
        digest = digests[name]
        if digest is None or name.endswith(ERROR):
            continue
        remove_result(folder)
        parts = [*name.split("/")[:-1], folder_of(digest)]
        tables |= {path: folder / table for table in (TRACE, EVALS) if (path := "/".join([*parts, table])) in listed}
    store.download(tables)
    for name, folder in sources.items():
        (folder / _NEW).replace(folder / RESULT)
        if (digest := digests[name]) is not None and not name.endswith(ERROR):
            (folder / MARK).write_text(digest, encoding="utf-8")
