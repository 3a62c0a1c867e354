"""Shell completion: what Hydra's own plugins answer, for the command line that the user typed.

The shell calls `warmup-lab -sc query=bash`, or `python train.py -sc query=bash`, with the command line in `COMP_LINE`.
Hydra 1.3 splits that line at spaces. It fails at quotes and at a flag after an override, and ignores `--config-dir`.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from warmup_lab.cli.compose import register_experiments
from warmup_lab.cli.config_files import checked_config_files
from warmup_lab.cli.locations import experiment_folders

FLAGS = ("-sc", "--shell-completion")


def is_query(arguments: Sequence[str]) -> bool:
    """Whether the shell asks for completions; `-sc install=bash` and `uninstall` are for the user."""
    return bool(set(FLAGS) & set(arguments)) and any(word.startswith("query=") for word in arguments)


def typed_words() -> list[str]:
    """The words up to the cursor, without the program. The last one is unfinished, or empty after a space."""
    line, point = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_POINT", "")
    line = line[: int(point)] if point.isdecimal() else line
    try:
        words = shlex.split(line)
    except ValueError:  # a quote is still open
        words = line.split()
    if line.endswith(" "):
        words.append("")
    is_script = bool(words) and Path(words[0]).name.startswith("python")
    return words[2 if is_script else 1 :]


def set_typed_words(words: Sequence[str]) -> None:
    """Sets what `typed_words` returns."""
    os.environ["COMP_LINE"] = shlex.join(["train.py", *words[:-1]]) + f" {words[-1]}"
    os.environ.pop("COMP_POINT", None)


def answer(entry: Callable[[], Any]) -> int:
    """Prints the words that can stand at the cursor and returns 0. If there is none, the shell completes file names.

    Args:
        entry: A function decorated with `hydra.main`.
    """
    from hydra._internal.utils import get_args_parser

    *given, last = typed_words() or [""]
    if last.startswith("-"):
        print(*(option for action in get_args_parser()._actions for option in action.option_strings), sep="\n")
        return 0
    # In a list such as `seed=0,1` or `scheduler=linear,cos`, Hydra is asked for `scheduler=cos`.
    key, values = last.partition("=")[0], last.rpartition(",")[0]
    asked = f"{key}={last.rpartition(',')[2]}" if values else last
    output = io.StringIO()
    # A message would be printed into the command line that is being typed.
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Exception, SystemExit):
        parsed, _ = get_args_parser().parse_known_intermixed_args(given)
        overrides = [word for word in parsed.overrides if " " not in word]
        os.environ["COMP_LINE"] = " ".join(["train.py", *["-m"] * parsed.multirun, *overrides, asked])
        sys.argv[1:] += ["--config-dir", parsed.config_dir] if parsed.config_dir else []
        register_experiments(*experiment_folders())
        with contextlib.redirect_stdout(output), checked_config_files():
            entry()
    print(output.getvalue().replace(f"{key}=", f"{values},") if values else output.getvalue(), end="")
    return 0
