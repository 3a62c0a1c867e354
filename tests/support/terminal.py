"""Programs on a terminal: a pseudo-terminal that tests read and type Ctrl-C into."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

CTRL_C = b"\x03"
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes the terminal that of the new session, so that Ctrl-C reaches the program and its children."""


class Terminal:
    """`python WORDS` on a terminal of `columns` columns."""

    def __init__(self, *words: str | Path, columns: int = 100, cwd: Path | None = None) -> None:
        self._file, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        command: Sequence[str | Path] = (sys.executable, "-S", "-c", _TAKE_TERMINAL, sys.executable, *words)
        self.process = subprocess.Popen(
            command, cwd=cwd, stdin=child, stdout=child, stderr=child, start_new_session=True
        )
        os.close(child)
        self.output = ""

    def read(self, until: str, timeout: float = 120) -> None:
        """Reads until this text appears after what was read before."""
        start, deadline = len(self.output), time.monotonic() + timeout
        while until not in self.output[start:]:
            part = self._read()
            assert part, f"{until!r} never came: {self.output!r}"
            assert time.monotonic() < deadline, f"{until!r} did not come in time: {self.output!r}"

    def type(self, keys: bytes) -> None:
        os.write(self._file, keys)

    def end(self) -> int:
        """Reads to the end; the exit status."""
        while self._read():
            pass
        os.close(self._file)
        return self.process.wait()

    def _read(self) -> str:
        try:
            part = os.read(self._file, 65536).decode()
        except OSError:  # the program has ended
            part = ""
        self.output += part
        return part


def visible_lines(output: str) -> list[str]:
    """The lines that a terminal shows after this output, which moves the cursor only within the last line."""
    lines = [""]
    column = 0
    for text in re.findall(r"\x1b\[K|\r|\n|[^\r\n\x1b]+", output):
        if text == "\n":
            lines.append("")
            column = 0
        elif text == "\r":
            column = 0
        elif text == "\x1b[K":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + text + lines[-1][column + len(text) :]
            column += len(text)
    return [line.rstrip() for line in lines]
