"""A progress bar on the last line of the terminal that no other output cuts through."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_CLEAR_LINE = "\r\x1b[K"


class _AboveBar(io.TextIOBase):
    """A stream whose lines appear above a progress bar on the last line of the terminal."""

    def __init__(self, stream: TextIO, bar: Any) -> None:
        self._stream, self._bar, self._rest = stream, bar, ""

    def write(self, text: str) -> int:
        with self._bar.get_lock():  # another thread may draw the bar
            lines, newline, self._rest = (self._rest + text).rpartition("\n")
            if newline:
                self._show(lines + newline)
                self._bar.refresh()
        return len(text)

    def flush(self) -> None:
        with self._bar.get_lock():
            if self._rest:
                self._show(self._rest)
                self._rest = ""
        self._stream.flush()

    def _show(self, text: str) -> None:
        self._bar.clear()
        self._stream.write(text)
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


@contextmanager
def terminal_bar(**options: Any) -> Iterator[Any]:
    """A tqdm bar on the last line of the terminal. What this process prints or logs meanwhile appears above it."""
    from tqdm import tqdm

    original = sys.stdout, sys.stderr
    with tqdm(file=sys.stderr, **options) as bar:
        above = _AboveBar(original[0], bar), _AboveBar(original[1], bar)
        try:
            _redirect(original, above)
            yield bar
        finally:
            bar.clear()
            for stream in above:
                stream.flush()
            _redirect(above, original)


def _redirect(old: tuple[Any, Any], new: tuple[Any, Any]) -> None:
    """Replaces stdout and stderr, also in the log handlers that write to them."""
    sys.stdout, sys.stderr = new
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream in old:
            handler.setStream(new[old.index(handler.stream)])


class _ClearedLine(io.TextIOBase):
    """A terminal on whose last line another process shows a progress bar, which is cleared before each write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._at_start = stream, True

    def write(self, text: str) -> int:
        self._stream.write(_CLEAR_LINE + text if self._at_start and text else text)
        self._at_start = text.endswith("\n") if text else self._at_start
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()


def clear_line_before_output() -> None:
    """Lets what this process prints or logs clear the line on which its parent process shows a progress bar."""
    original = sys.stdout, sys.stderr
    if sys.stderr.isatty():
        cleared = tuple(_ClearedLine(stream) if stream.isatty() else stream for stream in original)
        _redirect(original, (cleared[0], cleared[1]))
