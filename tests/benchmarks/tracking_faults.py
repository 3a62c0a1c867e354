"""How long a broken W&B delays a command: a single run and three-run sweeps, against the same with tracking=none.

    python tests/benchmarks/tracking_faults.py                                  # half an hour on two cores
    python tests/benchmarks/tracking_faults.py --only mute suspended --launchers basic

Every fault is real: the wandb client talks to a server on the loopback, and its process `wandb-core` is sent signals.
A command may be delayed by at most 20 seconds, must end with exit status 0 and must have a result for each run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import timing

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from wandb_standin import StandIn

LIMIT = 20.0
"""Largest delay, seconds."""
KEY = "0123456789" * 4
SMALL = ["task=synthetic_small", "model=bert_tiny", "max_steps=20", "num_threads=1", "device=cpu"]
SWEEP = ["-m", *SMALL, "scheduler=warmuplinear", "warmup_ratio=0,0.1,0.2", "seed=0"]
LAUNCHERS = {
    "single": [*SMALL, "hydra.run.dir=out/run"],
    "basic": [*SWEEP, "hydra/launcher=basic", "hydra.sweep.dir=out"],
    "joblib": [*SWEEP, "hydra/launcher=joblib", "hydra.sweep.dir=out"],
}
SETTINGS = {
    "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "NETRC": os.devnull, "WANDB_CONFIG_DIR": os.devnull,
}  # fmt: skip
"""No account of the user, and output at once."""
Environment = dict[str, str]
Fault = Callable[[], contextlib.AbstractContextManager[Environment]]


# ------------------------------------------------------------------------------------------------------------ servers


@contextlib.contextmanager
def raw_server(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[Environment]:
    """A server that treats each connection with `answer`, in a thread."""
    closing = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)

    def serve() -> None:
        while not closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            answer(connection, closing)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield {"WANDB_BASE_URL": f"http://127.0.0.1:{listener.getsockname()[1]}", "WANDB_API_KEY": KEY}
    closing.set()
    thread.join()
    listener.close()


def mute(_: socket.socket, closing: threading.Event) -> None:
    closing.wait(600)


def error_500(connection: socket.socket, _: threading.Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")


def reset(connection: socket.socket, _: threading.Event) -> None:
    connection.recv(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close() then sends a reset


def drip(connection: socket.socket, closing: threading.Event) -> None:
    """One byte a second, after a status line that satisfies whoever asks whether there is a server."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not closing.wait(1):
        connection.sendall(b" ")


@contextlib.contextmanager
def refused() -> Iterator[Environment]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": KEY}


@contextlib.contextmanager
def standin(
    *, is_mute: bool = False, is_lost: bool = False, signal: str = "", count: int = 10**6
) -> Iterator[Environment]:
    """A server that works, or never answers a query, or no longer once a run has begun.

    `signal` is sent to the first `count` processes `wandb-core` below this process: `suspend` or `kill`.
    """
    closing = threading.Event()
    with StandIn(mute=is_mute) as server:

        def disturb() -> None:
            sent: set[int] = set()
            while not closing.wait(0.1):
                if is_lost and "UpsertBucket" in server.operations:
                    server.mute = True
                if signal and (server.operations or is_lost):
                    for process in wandb_cores():
                        if process.pid not in sent and len(sent) < count:
                            sent.add(process.pid)
                            with contextlib.suppress(psutil.Error):
                                getattr(process, signal)()

        thread = threading.Thread(target=disturb, daemon=True)
        thread.start()
        yield server.environment
        closing.set()
        thread.join()


def wandb_cores() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name() == "wandb-core":
                found.append(process)
    return found


@contextlib.contextmanager
def no_key() -> Iterator[Environment]:
    yield {}


FAULTS: dict[str, Fault] = {
    "none: no key, so offline": no_key,
    "none: a server that works": standin,
    "refused: no server at the port": refused,
    "mute: accepts, never answers": lambda: raw_server(mute),
    "unanswered: never answers a query": lambda: standin(is_mute=True),
    "lost: never answers once a run has begun": lambda: standin(is_lost=True),
    "500: answers every request with 500": lambda: raw_server(error_500),
    "reset: resets every connection": lambda: raw_server(reset),
    "drip: one byte a second": lambda: raw_server(drip),
    "suspended: the first wandb-core gets SIGSTOP": lambda: standin(signal="suspend", count=1),
    "all-suspended: every wandb-core gets SIGSTOP": lambda: standin(signal="suspend"),
    "killed: the first wandb-core gets SIGKILL": lambda: standin(signal="kill", count=1),
    "all-killed: every wandb-core gets SIGKILL": lambda: standin(signal="kill"),
}


# ----------------------------------------------------------------------------------------------------------- commands


def run(launcher: str, tracking: str, environment: Environment) -> tuple[float, float, str, bool]:
    """What a command took and what came of it.

    Returns:
        Seconds of the command; seconds from its last line that is not about W&B, for a sweep the end of the report, to
        its end; the result in words; whether all of its runs have a result.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
        words = [sys.executable, str(timing.TRAIN), *LAUNCHERS[launcher], f"tracking={tracking}"]
        started = last_line = time.perf_counter()
        with Path(folder, "errors").open("w+") as errors:
            process = subprocess.Popen(
                words, cwd=folder, env=plain | SETTINGS | environment,
                stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
            assert process.stdout
            output = ""
            for line in process.stdout:
                output += line
                if "W&B" not in line:
                    last_line = time.perf_counter()
            status, ended = process.wait(), time.perf_counter()
            errors.seek(0)
            stderr = errors.read()
        wandb = Path(folder, "out", "wandb")
        files = [*Path(folder, "out").glob("*/result.json")]
        complete = sum(json.loads(file.read_text())["status"] != "error" for file in files)
        offline = len(list(wandb.glob("offline-run-*/*.wandb")))
        online = len(list(wandb.glob("run-*/*.wandb")))
        says = [line for line in (output + stderr).splitlines() if "W&B" in line and "to upload" in line]
        stray = " TRACEBACK" * ("Traceback" in stderr or "goroutine" in stderr)
        summary = f"exit {status}, {complete} results, {offline} offline, {online} online{stray}"
        last = says[-1].partition("W&B")[2].partition(". To view")[0] if says else ""
        if status:
            timing.say(stderr[-2000:])
        is_good = not status and complete == (1 if launcher == "single" else 3) and not stray
        return ended - started, ended - last_line, f"{summary}{f'; W&B{last}' * bool(last)}", is_good


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    names = {fault.partition(":")[0] for fault in FAULTS}
    parser.add_argument("--only", nargs="+", choices=sorted(names), default=sorted(names), help="faults")
    parser.add_argument("--launchers", nargs="+", choices=LAUNCHERS, default=list(LAUNCHERS))
    options = parser.parse_args()
    faults = {fault: broken for fault, broken in FAULTS.items() if fault.partition(":")[0] in options.only}
    is_good = True
    heads = ("fault", "command", "with W&B, s", "without, s", "delay, s", "after the report, s", "result")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    for launcher in options.launchers:
        run(launcher, "none", {})  # fills the caches
        before = run(launcher, "none", {})[0]
        for fault, broken in faults.items():
            with broken() as environment:
                seconds, at_end, result, complete = run(launcher, "wandb", environment)
            after = run(launcher, "none", {})[0]
            without, before = (before + after) / 2, after  # other load on the machine changes meanwhile
            is_good &= complete and seconds - without <= LIMIT
            times = f"{seconds:.1f} | {without:.1f} | {seconds - without:+.1f} | {at_end:.1f}"
            print(f"| {fault} | {launcher} | {times} | {result} |", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
