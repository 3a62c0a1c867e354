"""The report in the terminal: a table of the arms, and last the headline, its sentences and what to run next."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from warmup_lab.comparison import count
from warmup_lab.figures import MIN_FOR_INTERVAL
from warmup_lab.report.numbers import number, short_signed
from warmup_lab.system import shown_path

_MAX_ARMS = 60
_MAX_TRIALS = 10
_MAX_ERRORS = 5
_MAX_WIDTH, _MIN_WIDTH = 100, 60
_MIN_NAME = 20
"""Columns that the name of an arm keeps as long as something else can be left out."""
_SCHEDULE = re.compile(r"^(\S+)-w\d+\b")
"""The schedule in front of the warmup in the name of an arm."""
_NOT_TRAINED = "interrupted, or not started"
"""How the reason of a run begins that the same command simply trains."""
_COMMAND = "  "
"""How a line with a command begins. It is never wrapped, so that it can be pasted."""


def report_text(comparison: Mapping[str, Any], page: Path) -> str:
    """Everything that the terminal shows of a sweep: tables of at most 100 columns, and sentences of the full width.

    Args:
        comparison: the content of `comparison.json`.
        page: where `report.html` is.
    """
    columns = max(_MIN_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
    width = min(columns or _MAX_WIDTH, _MAX_WIDTH)
    search = comparison.get("search")
    table = trial_lines(search, width) if search else table_lines(comparison, width)
    below = [
        *([] if search else note_lines(comparison)),
        *error_lines(comparison),
        f"report: {shown_path(page)}",
        "",
        *closing_lines(comparison),
    ]
    return "\n".join([*table, *(part for line in below for part in _wrapped(line, columns))])


def _wrapped(line: str, columns: int | None) -> list[str]:
    """The line in parts that fit a terminal; whole if it is a command, or if the output is no terminal."""
    if columns is None or line.startswith(_COMMAND) or len(line) <= columns:
        return [line]
    return textwrap.wrap(line, columns, break_long_words=False, break_on_hyphens=False)


# --- the table of arms


@dataclass(frozen=True)
class _Detail:
    """What the table shows of the primary metric."""

    mean_interval: bool
    difference: Literal["interval", "value", "nothing"]


_DETAILS = (_Detail(True, "interval"), _Detail(False, "interval"), _Detail(False, "value"), _Detail(False, "nothing"))


def table_lines(comparison: Mapping[str, Any], width: int = _MAX_WIDTH) -> list[str]:
    """A row per arm, at most 60: its runs, the primary metric, the difference from the reference and the verdict.

    Empty before a run has ended.

    The metric counts all seeds where `comparison.json` has that. A table wider than `width` gets shorter names, then
    loses the interval of the mean, then has abbreviated keys, then loses the middle of the names. If that leaves less
    than 20 columns of a name, it loses the interval of the difference, and then the difference.
    """
    arms, metric = comparison["arms"][:_MAX_ARMS], comparison["primary"]["metric"]
    if not any(arm["failed"]["total"] for arm in arms):
        return []
    names = [arm["name"] for arm in arms]
    short = short_names(names)
    abbreviated = [_abbreviated(name) for name in short]
    for shown, detail in ((names, 0), (short, 0), (short, 1), (abbreviated, 1)):
        table = _table(arms, shown, metric, _DETAILS[detail])
        if _width(table) <= width:
            return _aligned(table)
    for found in _DETAILS[1:]:
        table = _table(arms, abbreviated, metric, found)
        room = max(map(len, abbreviated)) + width - _width(table)
        if room >= _MIN_NAME:
            break
    return _aligned(_table(arms, [_elided(name, room) for name in abbreviated], metric, found))


def note_lines(comparison: Mapping[str, Any]) -> list[str]:
    """How many arms are left out, and what the metric counts."""
    metric = comparison["primary"]["metric"]
    num_more = len(comparison["arms"]) - _MAX_ARMS
    more = [f"{count(num_more, 'more arm')} in the report"] if num_more > 0 else []
    has_intervals = any(_difference_interval(arm["metrics"][metric]) for arm in comparison["arms"])
    if comparison["looks"]["planned"] and has_intervals:
        more.append("intervals of differences hold at all planned looks together, so they are wider than at one look")
    failing = [arm for arm in comparison["arms"] if arm["failed"]["count"]]
    if not failing:
        return more
    if "mean_of_all" in failing[0]["metrics"][metric]:
        return [*more, f"{metric} counts all seeds: a run that failed to learn counts as guessing"]
    return [*more, f"{metric} is that of the runs that learned; a run that failed ranks worst in the test"]


def _table(arms: Sequence[Mapping[str, Any]], names: Sequence[str], metric: str, detail: _Detail) -> list[list[str]]:
    """Header and rows. Failures have a column if several arms fail; otherwise the runs that learned have one."""
    several_fail = sum(arm["failed"]["count"] > 0 for arm in arms) > 1
    counts = [arm["failed"]["count"] if several_fail else arm["num_learned"] for arm in arms]
    totals = [arm["failed"]["total"] for arm in arms]
    columns = [["arm", *names]]
    if any(arm["num_runs"] != arm["failed"]["total"] for arm in arms):
        columns.append(["runs", *(str(arm["num_runs"]) for arm in arms)])
    shares = [f"{one}/{total}" for one, total in zip(counts, totals, strict=True)]
    estimates = [_estimates(arm["metrics"][metric], detail, arm["failed"]["total"]) for arm in arms]
    columns += [
        ["failed" if several_fail else "learned", *shares],
        [metric + " (95 %)" * any("[" in mean for mean, _ in estimates), *(mean for mean, _ in estimates)],
    ]
    if detail.difference != "nothing":
        title = "minus reference" + " (95 %)" * any("[" in difference for _, difference in estimates)
        columns.append([title, *(difference for _, difference in estimates)])
    columns.append(["verdict", *(arm["verdict"]["value"].replace("_", " ") for arm in arms)])
    return [list(row) for row in zip(*columns, strict=True)]


def _of_all(found: Mapping[str, Any]) -> str:
    """Ending of the keys that count all seeds, where `comparison.json` has them."""
    return "_of_all" if "mean_of_all" in found else ""


def _difference_interval(found: Mapping[str, Any]) -> Any:
    return found.get(f"difference_interval{_of_all(found)}")


def _estimates(found: Mapping[str, Any], detail: _Detail, num_runs: int) -> tuple[str, str]:
    """The mean, and the difference from the reference. Fewer than 3 runs give no interval."""
    of = _of_all(found)
    num_pairs = found.get(f"num_pairs{of}", num_runs)
    shows_mean = detail.mean_interval and num_runs >= MIN_FOR_INTERVAL
    mean = _estimate(found[f"mean{of}"], found[f"interval{of}"] if shows_mean else None, number)
    shows_difference = detail.difference == "interval" and num_pairs >= MIN_FOR_INTERVAL
    interval = _difference_interval(found) if shows_difference else None
    return mean, _estimate(found.get(f"difference{of}"), interval, short_signed)


def _estimate(value: float | None, interval: Sequence[float] | None, text: Callable[[float | None], str]) -> str:
    ends = f" [{text(interval[0])}, {text(interval[1])}]" if interval else ""
    return "" if value is None else text(value) + ends


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*table, strict=True)]


def _width(table: Sequence[Sequence[str]]) -> int:
    return sum(_widths(table)) + 2 * (len(table[0]) - 1)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = _widths(table)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def short_names(names: Sequence[str]) -> list[str]:
    """The names without groups of overrides, with the warmup as asked for, and without a schedule that all share.

    >>> short_names(["warmuplinear-w0 (0 %) optimizer.eps=1e-8", "warmuplinear-w36 (10 %) optimizer.eps=1e-8"])
    ['0 % eps=1e-8', '10 % eps=1e-8']
    """
    heads = {match[1] if (match := _SCHEDULE.match(name)) else "" for name in names}
    (head,) = heads if len(heads) == 1 else ("",)
    shared = f"{head}-" if head else ""
    found = [re.sub(r"(?<=\s)[\w.]+\.(?=\w+=)", "", name.removeprefix(shared)) for name in names]
    asked = [re.sub(r"(^|-)w\d+ \((\S+ %)\)", r"\1\2", name) for name in found]
    return asked if len(set(asked)) == len(set(names)) else found


def _abbreviated(name: str) -> str:
    """The name with the words of its keys cut to four letters: `bias_corr=True`."""
    return re.sub(r"\w+(?==)", lambda key: "_".join(word[:4] for word in key[0].split("_")), name)


def _elided(name: str, width: int) -> str:
    """The name with its middle left out, if it is longer than `width`."""
    width = max(width, 9)
    if len(name) <= width:
        return name
    tail = (width - 3) // 2
    return f"{name[: width - 3 - tail]}...{name[-tail:]}"


# --- the table of the trials of a search


def trial_lines(search: Mapping[str, Any], width: int = _MAX_WIDTH) -> list[str]:
    """A row for each of the 10 best trials: what was tried, and the value of the objective."""
    sign = 1 if search["direction"] == "minimize" else -1
    trials = sorted(search["trials"], key=lambda trial: (trial["value"] is None, sign * (trial["value"] or 0)))
    shown = trials[:_MAX_TRIALS]
    keys = list(dict.fromkeys(key for trial in shown for key in trial["params"]))
    last = [key.rpartition(".")[2] for key in keys]
    titles = last if len(set(last)) == len(last) else keys
    values = [[_param(trial["params"].get(key)) for key in keys] for trial in shown]
    ends = [number(trial["value"]) if trial["value"] is not None else _ENDS[trial["state"]] for trial in shown]
    numbers = [str(trial["number"]) for trial in shown]
    header = ["trial", search["objective"]]
    table = [[*header, *titles]] + [[one, end, *row] for one, end, row in zip(numbers, ends, values, strict=True)]
    if _width(table) > width:
        texts = [" ".join(map("=".join, zip(titles, row, strict=True))) for row in values]
        table = [[*header, "tried"]] + [list(row) for row in zip(numbers, ends, texts, strict=True)]
        room = max(map(len, texts)) + width - _width(table)
        table = [[*row[:2], _elided(row[2], room)] for row in table]
    num_more = len(trials) - len(shown)
    return [*_aligned(table), *([f"{count(num_more, 'more trial')} in the report"] if num_more else [])]


_ENDS = {"failed": "failed to learn", "error": "error"}


def _param(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# --- below the table


def error_lines(comparison: Mapping[str, Any]) -> list[str]:
    """At most 5 of the runs that ended in an error, or whose result cannot be used; empty if there are none."""
    lost = [one for one in comparison.get("unfinished", []) if not one["error"].startswith(_NOT_TRAINED)]
    errors = [*comparison["errors"], *lost]
    if not errors:
        return []
    named = [f"  {one['run_id']} ({one['arm']}, seed {one['seed']}): {one['error']}" for one in errors[:_MAX_ERRORS]]
    num_more = len(errors) - _MAX_ERRORS
    more = [f"  {num_more} more in the report"] if num_more > 0 else []
    return [f"{count(len(errors), 'run')} did not finish:", *named, *more]


def notes_of_sweep(comparison: Mapping[str, Any]) -> list[str]:
    """What a reader must know before the headline; see `comparison/notes.py`."""
    lines = []
    for one in comparison.get("notes", []):
        lines += [f"Note: {one['text']}", *([_COMMAND + one["command"]] if one["command"] else [])]
    return lines


def closing_lines(comparison: Mapping[str, Any]) -> list[str]:
    """The headline, what is recommended and how sure that is, the sentences below, and the commands to run next."""
    advice, search = comparison.get("recommendation"), comparison.get("search")
    command = advice["next_command"] if advice else None
    lines = [comparison["headline"], *notes_of_sweep(comparison)]
    if advice:
        in_headline = search or advice["sentence"] == comparison["headline"]
        lines += [] if in_headline or not advice["sentence"] else [advice["sentence"]]
        unsure = [text for text in advice["unsure"] if not text.startswith("Preliminary")]  # the headline says so
        lines += [f"Not sure: {text[:1].lower()}{text[1:]}" for text in unsure]
    for sentence in comparison["summary"]:
        lead, found, rest = sentence.partition(command) if command else (sentence, "", "")
        lines += [lead.rstrip(), _COMMAND + found, *([rest.strip()] if rest.strip() else [])] if found else [sentence]
    if advice and advice["train_command"]:
        lines += ["To train one model with this answer now:", _COMMAND + advice["train_command"]]
    if search and search["best"]:
        lines += ["To train the best trial alone:", _COMMAND + search["best"]["command"]]
    if command and _COMMAND + command not in lines:
        note = advice.get("next_note", "").removesuffix(".") if advice else ""
        label = "To confirm it at other seeds" if search else "To run next"
        lines += [f"{label}. {note}:" if note else f"{label}:", _COMMAND + command]
    return lines
