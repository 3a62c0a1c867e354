"""Starts `train.py` in a process of its own without the 8 seconds of CPU that importing torch and transformers takes.

One process imports them and forks for each start. A forked process has its own id, group, folder, environment and
output, and ends or is killed like any other. It is killed with its group if the process that started it ends first.

Its imports are done already, so it ignores variables that are read by then, such as `HF_HUB_OFFLINE`, `OMP_NUM_THREADS`
and `PYTHON...`. Its standard input is empty. Tests of imports and of the first start do not use it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

IMPORTED = ("warmup_lab.training.loop", "warmup_lab.sweeps.launchers", "warmup_lab.comparison.build")


class Fork:
    """The part of `subprocess.Popen` that tests use, for `python WORDS` in a fork of the server.

    Attributes:
        pid: Of the process, which is also the id of its process group.
        returncode: Its exit status, negative after a signal; None while it runs.
    """

    def __init__(self, words: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self.returncode: int | None = None
        self._written: tuple[str, str] | None = None
        self._words = words
        self._texts = [tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2)]  # noqa: SIM115, closed below
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(server_path()))
        request = json.dumps({"words": words, "folder": str(folder), "environment": environment}).encode()
        socket.send_fds(self._server, [len(request).to_bytes(4, "big")], [text.fileno() for text in self._texts])
        self._server.sendall(request)
        self.pid = _receive(self._server)

    def poll(self) -> int | None:
        """The exit status, or None while the process runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once the process has ended."""
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self._words, timeout or 0)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits, and returns what the process has written as output and as errors, also if called again."""
        self.wait(timeout)
        if self._written is None:
            for text in self._texts:
                text.seek(0)
            self._written = self._texts[0].read(), self._texts[1].read()
            self.close()
        return self._written

    def close(self) -> None:
        """Frees what `communicate` has not freed. A process that still runs is killed."""
        for file in (*self._texts, self._server):
            file.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._server], [], [], timeout)[0]:
            self.returncode = _receive(self._server)
            self._server.close()
        return self.returncode


def relay(process: Fork) -> NoReturn:
    """Makes this process stand for a fork: it passes on signals, output and exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.killpg(process.pid, number))
    for text, stream in zip(process.communicate(), (sys.stdout, sys.stderr), strict=True):
        stream.write(text)
    sys.exit(process.returncode)


@functools.cache
def server_path() -> Path:
    """Where the fork server listens: that of all workers of pytest, or one of this process."""
    if shared := os.environ.get("WARMUP_LAB_TEST_FORK_SERVER"):
        return Path(shared)
    return start_server()


def start_server() -> Path:
    """Starts a server that ends with this process, and returns where it listens."""
    path = Path(tempfile.mkdtemp()) / "socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()  # so that a client can connect before the server has imported everything
    command = [sys.executable, __file__, str(listener.fileno())]
    # In a session of its own, so that Ctrl-C in a terminal leaves it to `stop`.
    server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True)
    listener.close()

    def stop() -> None:
        server.communicate()  # closes its standard input
        shutil.rmtree(path.parent)

    atexit.register(stop)
    return path


def _receive(connection: socket.socket) -> int:
    number = connection.recv(4, socket.MSG_WAITALL)
    if len(number) < 4:
        raise ConnectionError("the fork server, or its process for this program, was killed")
    return int.from_bytes(number, "big", signed=True)


def _send(connection: socket.socket, number: int) -> None:
    connection.sendall(number.to_bytes(4, "big", signed=True))


def _serve(listener: socket.socket) -> dict[str, Any]:
    """Forks for each request. Only the forked processes return, each with its request."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the watching processes leave no zombies
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
        for module in IMPORTED:  # not before the first request, because few tests need the server
            importlib.import_module(module)
        gc.freeze()  # the forked processes neither search nor copy what is there already
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return _watch(connection)
        connection.close()
    sys.exit()


def _watch(connection: socket.socket) -> dict[str, Any]:
    """Forks the program, which returns, and reports its id and its exit status."""
    size, files, *_ = socket.recv_fds(connection, 4, 2)
    request = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    waits, is_leader = os.pipe()
    pid = os.fork()
    if pid == 0:
        connection.close()
        os.close(waits)
        os.setsid()
        os.close(is_leader)
        for number, file in enumerate([os.open(os.devnull, os.O_RDONLY), *files]):
            os.dup2(file, number)
            os.close(file)
        return request
    os.close(is_leader)
    os.read(waits, 1)  # until the program has a group of its own, which a client may signal from now on
    _send(connection, pid)
    has_ended = threading.Event()
    threading.Thread(target=_kill_without_client, args=(connection, pid, has_ended), daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    has_ended.set()
    with contextlib.suppress(BrokenPipeError):
        _send(connection, status)
    os._exit(0)


def _kill_without_client(connection: socket.socket, pid: int, has_ended: threading.Event) -> None:
    """Kills the program and its group if the client ends first. The client sends nothing."""
    connection.recv(1)
    if not has_ended.is_set():
        os.killpg(pid, signal.SIGKILL)


def _main() -> None:
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server that a shell started with & ignores it
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["words"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _main()
