"""Stopping by signals, and the words for a time."""

import os
import signal
import sys
import threading

import pytest
from terminal import CTRL_C, Terminal, visible_lines

from warmup_lab.training import console
from warmup_lab.training.console import ProgressLine, StopSignal, format_seconds, stop_requested

STOPPING = "stopping, saving checkpoints; Ctrl-C again stops at once"

BUSY = """
import threading
from warmup_lab.training import console
from warmup_lab.training.console import StopSignal
with StopSignal() as stop:
    print("started", flush=True)
    for thread in [threading.Thread(target=input)]:
        thread.start()
        thread.join()  # as a long call into torch: Python handles a signal in the main thread only afterwards
    print("noted", stop.signal_number)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_answered_and_the_second_stops_at_once(number, capfd):
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert stop.signal_number == 0
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err == f"{STOPPING}\n"


def test_all_nested_blocks_note_a_signal_also_those_that_start_later(capfd):
    with StopSignal() as sweep:
        with StopSignal() as run:
            signal.raise_signal(signal.SIGINT)
        assert sweep.signal_number == run.signal_number == stop_requested() == signal.SIGINT
        with StopSignal() as next_run:
            assert next_run.signal_number == signal.SIGINT
    assert stop_requested() == 0
    assert capfd.readouterr().err == f"{STOPPING}\n"


def test_without_a_signal_nothing_is_said(capfd):
    with StopSignal():
        pass
    assert capfd.readouterr().err == ""


def test_other_threads_than_the_main_one_have_no_handlers():
    found = []

    def block():
        with StopSignal() as stop:
            found.append((stop.signal_number, list(StopSignal.blocks)))

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert found == [(0, [])]


def test_ctrl_c_is_answered_during_a_long_call():
    """The program answers while its main thread waits for a line of input, which comes only after the answer."""
    terminal = Terminal("-c", BUSY)
    terminal.read(until="started")
    terminal.type(CTRL_C)
    terminal.read(until=f"{STOPPING}\r\n")
    terminal.type(b"\n")
    assert terminal.end() == 0
    assert visible_lines(terminal.output)[-2:] == ["noted 2", ""]


def test_without_a_terminal_progress_is_logged_every_few_seconds(caplog, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    monkeypatch.setattr(console.log, "disabled", False)  # import-linter disables the loggers of its process
    caplog.set_level("INFO")
    with ProgressLine("run", 0, 4) as line:
        line.update(0.5, 1e-3)
        line._due = 0.0
        line.update(0.25, 2e-3)
        line.update(0.125, 3e-3)
    (message,) = caplog.messages
    assert message.startswith("update 2 of 4, loss 0.2500, lr 2.00e-03, ")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (3600, "1 h 0 min")]
)
def test_format_seconds(seconds, text):
    assert format_seconds(seconds) == text
