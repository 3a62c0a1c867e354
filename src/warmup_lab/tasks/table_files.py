"""Reads a file into columns (CSV, TSV, JSON Lines or Parquet), and columns into labelled texts.

Every fault of a file raises a `ConfigError` with the file, the line and the fix. This module does not import torch.
"""

# Why CSV and TSV are not read with pyarrow.csv (tried with version 26): it reports rows instead of lines (they differ
# after an embedded line break or a blank line), takes `"one" more` and two columns of one name silently, ends a TSV row
# at a lone carriage return, gives no position for bytes that are not UTF-8, and fails on a field that is longer than
# its block. It is not faster either: 0.13 s for SST-2, like the csv module.

from __future__ import annotations

import csv
import difflib
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from warmup_lab.config import ConfigError, require, suggestion

Table = dict[str, list[Any]]
"""Column name -> values. All columns have the same length."""

_LONGEST_FIELD = 2**31 - 1
_ROWS_AT_ONCE = 256
_LARGEST_TABLE = 2**31
"""Bytes. A Parquet file of a few 100 KB can hold as much."""


def read_table(path: Path) -> Table:
    """The columns of the file `path`, whose suffix gives the format. There is at least one row.

    CSV has quoting. TSV has none: a quote character is part of the text, as in the RTE data.

    Raises:
        ConfigError: the file is missing, empty or malformed.
    """
    if not path.exists():
        folder = path.absolute().parent
        names = [file.name for file in folder.glob("*") if file.suffix.lower() in READERS]
        close = difflib.get_close_matches(path.name, names, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{path}: there is no such file (looked in {folder}){meant}")
    require(not path.is_dir(), f"{path} is a folder: give the path of a file in it")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"{path}: unknown suffix {path.suffix!r}. Known: {', '.join(READERS)}")
    require(path.stat().st_size > 0, f"{path} is empty: it needs a header and rows")
    try:
        table = reader(path)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} at position {error.start}"
        raise ConfigError(f"{path} is not UTF-8 text ({byte}): save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    require(any(table.values()), f"{path} has a header but no rows")
    return table


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")  # -sig: spreadsheet programs write a byte order mark


def _read_tsv(path: Path) -> Table:
    # Not splitlines(): it also splits at characters such as U+2028, which occur in texts.
    lines = enumerate(_text(path).split("\n"), start=1)
    rows = ((number, line.removesuffix("\r").split("\t")) for number, line in lines if line.strip("\r"))
    return _columns(path, rows, "TSV has no quoting: a tab or line break inside a text needs CSV or JSON Lines")


def _read_csv(path: Path) -> Table:
    return _columns(path, _csv_rows(path), "quote a text that holds a comma or a line break")


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    before = csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        raise ConfigError(f"{where}: {error}; write a quote inside a quoted text twice") from error
    finally:
        csv.field_size_limit(before)


def _columns(path: Path, rows: Iterator[tuple[int, list[str]]], fix: str) -> Table:
    _, header = next(rows, (0, []))
    names = [name.strip() for name in header]
    _check_names(path, names)
    kept: list[list[str]] = []
    for number, row in rows:
        if len(row) != len(names):
            counts = f"{len(row)} fields where the header has {len(names)}"
            raise ConfigError(f"{path}, line {number}: {counts}; {fix}")
        kept.append(row)
    values = zip(*kept, strict=True) if kept else ([] for _ in names)
    return {name: list(column) for name, column in zip(names, values, strict=True)}


def _check_names(path: Path, names: list[str]) -> None:
    require(any(names), f"{path} is empty: it needs a header and rows")
    repeated = sorted({name for name in names if names.count(name) > 1})
    require(not repeated, f"{path}: two columns are named {', '.join(map(repr, repeated))}; rename one")


def _read_json_lines(path: Path) -> Table:
    rows = [
        _json_row(f"{path}, line {number}", line)
        for number, line in enumerate(_text(path).split("\n"), start=1)
        if line.strip()
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    require(bool(names), f"{path} is empty: it needs one JSON object {{...}} per line")
    return {name: [row.get(name) for row in rows] for name in names}


def _json_row(where: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=unique_keys)
        json.dumps(row, ensure_ascii=False).encode() if "\\u" in line else None  # raises for a lone surrogate
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not JSON ({error}); each line needs one object {{...}}") from error
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: a {type(row).__name__}, not an object; each line needs one object {{...}}")
    return row


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for `object_pairs_hook`. json.loads alone would keep the last of two values of one key.

    Raises:
        ValueError: a key is there twice.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return row


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches, num_bytes = [], 0
    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
            num_bytes += batch.nbytes
            require(
                num_bytes <= _LARGEST_TABLE,
                f"{path}: its texts are over {_LARGEST_TABLE / 2**30:.3g} GiB once decompressed; use a part of it",
            )
            batches.append(batch)
        table = pa.Table.from_batches(batches, file.schema_arrow)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path}: cannot be read as Parquet ({reason})") from error
    _check_names(path, table.column_names)
    columns: Table = table.to_pydict()
    return columns


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json_lines,
    ".parquet": _read_parquet,
}


# --------------------------------------------------------------------------------- columns to labelled texts


@dataclass(frozen=True)
class Labelled:
    """Examples with the names of their labels; `where` says in error messages where they come from."""

    texts: list[tuple[str, ...]]
    labels: list[str]
    where: str
    num_left_out: int = 0

    def take(self, indices: Sequence[int]) -> Labelled:
        """The examples with these indices."""
        chosen = [self.texts[i] for i in indices], [self.labels[i] for i in indices]
        return Labelled(*chosen, self.where)


def label_name(value: Any) -> str:
    """The label as a string, empty if it is missing. "1", 1 and 1.0 are the same label."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value).strip()
    whole = re.fullmatch(r"([+-]?(?:0|[1-9][0-9]{0,18}))(?:\.0*)?", text)
    return str(int(whole[1])) if whole else text


def sorted_names(names: set[str]) -> tuple[str, ...]:
    """The names in order: by value if all are numbers, else alphabetically."""
    if all(re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", name) for name in names):
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    return tuple(sorted(names))


def _is_index(name: str) -> bool:
    """Whether a column only numbers the rows. pandas writes such a column without a name."""
    return name.lower() in ("index", "id", "idx", "", "unnamed: 0", "__index_level_0__")


def _check_column(table: Table, name: str, key: str, where: str) -> None:
    if name not in table:
        typed = "'task.text_columns=[NAME]'" if key == "text_columns" else f"task.{key}=NAME"
        raise ConfigError(f"{where} has no column {name!r}: type {typed}{suggestion(name, table)}")


def text_columns(table: Table, requested: list[str] | None, label_column: str, where: str) -> list[str]:
    """The names of the one or two text columns: those requested, or all but the label and an index.

    Raises:
        ConfigError: a column is missing, or there are not one or two text columns.
    """
    _check_column(table, label_column, "label_column", where)
    found = [name for name in table if name != label_column and not _is_index(name)]
    columns = found if requested is None else list(requested)
    for name in columns:
        _check_column(table, name, "text_columns", where)
    listed = ", ".join(map(repr, columns)) or "none"
    valid = 1 <= len(columns) <= 2 and len(set(columns)) == len(columns) and label_column not in columns
    require(
        valid,
        f"{where}: one or two columns of text are needed, but the text columns are: {listed}.\n"
        f"Set task.text_columns=[{', '.join(found[:1]) or 'NAME'}], or name two columns",
    )
    return columns


def _as_text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    require(isinstance(value, (int, float)), f"{where} has a {type(value).__name__}, not a text")
    return str(value)


def labelled(table: Table, columns: list[str], label_column: str, where: str) -> Labelled:
    """The examples of the table. Examples whose texts are all empty are left out and counted.

    Raises:
        ConfigError: a column is missing, a value is not a text, a label is missing, or no example has a text.
    """
    for name in columns:
        _check_column(table, name, "text_columns", where)
    _check_column(table, label_column, "label_column", where)
    texts = [[_as_text(value, f"{where}: column {name!r}") for value in table[name]] for name in columns]
    rows = list(zip(*texts, strict=True))
    for number, value in enumerate(table[label_column], start=1):
        require(
            not isinstance(value, (list, dict, bytes)),
            f"{where}: the label of example {number} (column {label_column!r}) is a {type(value).__name__}; "
            "a label is a text or a number",
        )
    labels = [label_name(value) for value in table[label_column]]
    kept = [i for i, row in enumerate(rows) if any(map(str.strip, row))]
    require(bool(kept), f"{where}: all texts are empty (columns {', '.join(map(repr, columns))})")
    if missing := [i + 1 for i in kept if not labels[i]]:
        raise ConfigError(
            f"{where}: {len(missing)} of {len(rows)} examples have no label in column {label_column!r}, the first is "
            f"example {missing[0]}; add the label or remove the row"
        )
    return replace(Labelled(rows, labels, where).take(kept), num_left_out=len(rows) - len(kept))
