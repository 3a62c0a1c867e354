"""The console script `warmup-lab`, which passes each subcommand on to the module that runs it.

`warmup-lab train` equals `python train.py`; `warmup-lab recommend` adds `-m experiment=recommend`. Nothing heavy is
imported before the subcommand is known.
"""

from __future__ import annotations

import sys
from importlib import import_module

import warmup_lab
from warmup_lab.config import suggestion

COMMANDS = {
    "train": "Train one run or, with -m, a grid of runs, and compare them.",
    "recommend": "Find a learning rate and a warmup for a model and a task, in a few minutes.",
    "schedule": "Draw the learning-rate schedule of a command. Nothing is trained.",
    "report": "Build the report of a sweep again from the files in its folder.",
}
"""Subcommand -> what it does."""
_MODULES = {"schedule": "warmup_lab.figures.__main__", "report": "warmup_lab.report.__main__"}
_SHOW_FLAGS = {"--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--version"}
"""Flags of Hydra that print something and train nothing; they cannot be combined with -m."""
_HELP = """\
Settles, with evidence, how to warm up the learning rate.

warmup-lab COMMAND [ARGUMENT ...]

Commands
{commands}

Examples
  warmup-lab train scheduler=warmupcosine warmup_ratio=0.1
  warmup-lab train -m scheduler=warmuplinear,warmupcosine warmup_ratio=0,0.1,0.5 'seed=range(6)'
  warmup-lab recommend task=files task.train_file=a.tsv task.validation_file=b.tsv
  warmup-lab schedule scheduler=warmupcosine warmup_ratio=0.1
  warmup-lab report runs/sweep

warmup-lab COMMAND --help shows the arguments of a command. warmup-lab --version shows the version.
Completion in bash: eval "$(warmup-lab -sc install=bash)"; in fish: warmup-lab -sc install=fish | source
"""


def run_script() -> int:
    """Runs the subcommand in `sys.argv` and returns the exit status, 2 if there is no such subcommand."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in ("--help", "-h"):
        commands = "\n".join(f"  {name:<11}{sentence}" for name, sentence in COMMANDS.items())
        print(_HELP.format(commands=commands), end="")
        return 0
    if command == "--version":
        print(f"warmup-lab {warmup_lab.__version__}")
        return 0
    if command in ("--shell-completion", "-sc"):
        return _complete(sys.argv[1:])
    if command not in COMMANDS:
        print(f"error: {_unknown(command, arguments)}", file=sys.stderr)
        return 2
    return _run(command, arguments)


def _run(command: str, arguments: list[str]) -> int:
    if command in _MODULES:
        status: int = import_module(_MODULES[command]).main(arguments, prog=f"warmup-lab {command}")
        return status
    if command == "recommend":
        if {"--help", "-h"}.intersection(arguments):
            print(f"{COMMANDS[command]}\nThe same as warmup-lab train -m experiment=recommend.\n")
        multirun = [] if _SHOW_FLAGS.intersection(arguments) else ["-m"]
        own_launcher = any(word.startswith("hydra/launcher=") for word in arguments)
        launcher = [] if own_launcher else ["hydra/launcher=fastest"]
        arguments = [*multirun, "experiment=recommend", *launcher, *arguments]
    return _train(arguments)


def _train(arguments: list[str]) -> int:
    import hydra

    from warmup_lab.cli.entry import main as hydra_main
    from warmup_lab.cli.entry import run
    from warmup_lab.cli.locations import conf_folder

    sys.argv[1:] = arguments
    return hydra_main(hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(run))


def _complete(arguments: list[str]) -> int:
    """Answers the shell. Hydra's completion registers the program alone, so the shell asks without a subcommand."""
    from warmup_lab.cli import completion

    if not completion.is_query(arguments):
        return _train(arguments)
    words = completion.typed_words()
    if len(words) < 2:
        print("\n".join(COMMANDS))
    elif words[0] in COMMANDS and words[0] != "report":  # without an answer the shell completes file names
        completion.set_typed_words(words[1:])
        return _train(arguments)
    return 0


def _unknown(command: str, arguments: list[str]) -> str:
    """The message about a word that is no subcommand. An override or a flag in its place belongs to `train`."""
    if "=" in command or command.startswith("-"):
        import shlex

        return f"{command!r} is no command; did you mean this?\n  warmup-lab train {shlex.join([command, *arguments])}"
    return f"unknown command {command!r}{suggestion(command, COMMANDS)}"
