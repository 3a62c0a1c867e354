"""The progress bar and what is printed meanwhile, on a real terminal."""

from terminal import Terminal, visible_lines

LOGS_AND_PRINTS = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
from warmup_lab.training.console import ProgressLine
with ProgressLine("run", 0, 10) as line:
    for step in range(10):
        line.update(0.5, 1e-3)
        if step == 3:
            logging.info("a log line")
        if step == 5:
            print("an error line", file=sys.stderr)
        if step == 7:
            print("without an", end=" ")
            print("end")
            print("prompt> ", end="", flush=True)
            print()
print("after")
logging.info("also after")
"""

CHILD_LOGS = """
import subprocess, sys
from warmup_lab.training.progress_bar import terminal_bar
child = '''
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
from warmup_lab.training.progress_bar import clear_line_before_output
clear_line_before_output()
logging.warning("a warning")
print("two", "words")
'''
with terminal_bar(total=10, desc="sweep") as bar:
    subprocess.run([sys.executable, "-c", child])
    bar.refresh()
"""


def shown(code: str) -> list[str]:
    terminal = Terminal("-c", code)
    assert terminal.end() == 0, terminal.output
    return visible_lines(terminal.output)


def test_log_lines_and_prints_appear_above_the_bar():
    lines = shown(LOGS_AND_PRINTS)
    assert lines[:4] == ["a log line", "an error line", "without an end", "prompt>"]
    assert lines[4].startswith("run: 100%")
    assert "loss 0.5000, lr 1.00e-03" in lines[4]
    assert lines[5:] == ["after", "also after", ""]


def test_lines_of_a_child_process_replace_the_bar_until_it_is_drawn_again():
    lines = shown(CHILD_LOGS)
    assert lines[:2] == ["a warning", "two words"]
    assert lines[2].startswith("sweep:   0%")
