"""Words of the command line that Hydra would misread or refuse without help: each with what to type instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from warmup_lab.cli.keys import keys_named, known_keys, option_values
from warmup_lab.cli.locations import experiment_folders
from warmup_lab.config import GROUPS, ConfigError, advice, require, share_of_percent
from warmup_lab.system import train_program

_NO_NAME = re.compile(r"[-+]?(\d[\d_.]*(e[-+]?\d+)?|inf|nan)|true|false", re.IGNORECASE)
"""Values that Hydra does not read as a name."""
DATA_FILE = re.compile(r".+\.(csv|tsv|jsonl?|parquet)", re.IGNORECASE)

_NOTHING = ("", "null", "off", "no", "disabled")
_CHOICE_KEYS = ("optimizer.name", "task.kind", "model.kind")
"""Keys that choose among options, whose other keys do not fit if this one is set alone."""
_REFUSED_FLAGS = {
    "config_path": "the main configuration is always that of warmup-lab; --config-dir FOLDER adds options to it",
    "config_name": "the main configuration is always that of warmup-lab; type experiment=NAME",
    "experimental_rerun": "unpickles a file, which can run code; type the command of the run again",
}
"""Flags of Hydra that cannot be used, and what to do instead."""


def command(words: Sequence[str]) -> str:
    """The command that trains with these words, quoted for a shell."""
    return shlex.join([*train_program(), *words])


@dataclass(frozen=True)
class CommandLine:
    """The words of a command line, sorted as Hydra's parser needs them."""

    flags: list[str]
    """Hydra's flags, each followed by its value if it has one."""
    overrides: list[str]
    """All other words, in their order, with flags that Hydra does not know."""


def parse_words(words: Sequence[str]) -> CommandLine:
    """Splits words into Hydra's flags and the rest. argparse accepts overrides only in one block.

    Raises:
        ConfigError: a flag of Hydra lacks its value, or has a wrong one.
    """
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # argparse prints its usage and exits
    parsed, unknown = parser.parse_known_args([word for word in words if word != "--version"])
    for flag, reason in _REFUSED_FLAGS.items():
        require(getattr(parsed, flag) is None, f"--{flag.replace('_', '-')}: {reason}")
    known_here = [*parsed.overrides, *(word for word in unknown if not word.startswith("-"))]
    flags: list[str] = []
    overrides: list[str] = []
    for word in words:
        if known_here and word == known_here[0]:
            overrides.append(known_here.pop(0))
        else:
            (overrides if word in unknown else flags).append(word)
    return CommandLine(flags, overrides)


def _refuse(message: str) -> NoReturn:
    raise ConfigError(message)


def refuse_mistakes(overrides: Sequence[str]) -> None:
    """Raises `ConfigError` for words that cannot be overrides, and for keys of other programs: one line a mistake."""
    mistakes: list[str] = []
    left = list(overrides)
    while left:
        mistake = _take_mistake(left)
        if mistake:
            mistakes.append(mistake)
    if mistakes:
        raise ConfigError("\nerror: ".join(mistakes))


def _take_mistake(words: list[str]) -> str | None:
    """Removes the first word, and those that belong to it, and says what is wrong with it."""
    word = words.pop(0)
    if word.startswith("-"):
        return _dashes(word, words)
    if "=" not in word:
        return None if word.startswith("~") else _without_equals(word, words)
    key, _, value = word.partition("=")
    if key.lstrip("+~") == "hydra.launcher.batch":
        return f"{word}: names a function to call, and cannot be set"
    if "_target_" in word and _names_code(word):
        return f"{word}: _target_ names code to run, and cannot be set"
    if word.startswith("+"):  # it adds a key, which `resolve` checks, or a choice that the defaults have already
        plain = word.lstrip("+")
        return f"{word}: type {plain}" if key.lstrip("+") in (*GROUPS, "experiment") else None
    parts = [value]
    while words and _continues(parts[-1], words[0]):
        parts.append(words.pop(0))
    if len(parts) > 1:
        joined = ",".join(filter(None, (part.strip(",") for part in parts)))
        return f"{key}={' '.join(parts)}: arguments have no spaces; type {key}={joined}"
    tidied = _tidied(key, value)
    if tidied is not None:
        return f"{word}: type {tidied}"
    if word == "experiment=":
        return f"{word}: has no name; type experiment=recommend, or another of those that --help lists"
    if not key:
        return f"{word}: has no key; arguments have the form KEY=VALUE, such as seed=1"
    if key in GROUPS and (value.lower() in _NOTHING or any(map(_NO_NAME.fullmatch, value.split(",")))):
        return _no_choice(word, key)
    if key in _CHOICE_KEYS and value.lower() in option_values(group := key.partition(".")[0]):
        return f"{word}: would keep the other keys of another {group}; type {group}={value.lower()}"
    share = share_of_percent(value) if key in ("warmup_ratio", "warmup_steps") else None
    if share is not None:
        return f"{word}: a share is a plain number; type warmup_ratio={share}"
    instead = advice(key, value.removeprefix("="))
    return f"unknown key {key}; {instead}" if instead else None


def _tidied(key: str, value: str) -> str | None:
    """`SEED=1`, `seed==1`, `'seed = 1'` and `'seed={0,1}'` as they are meant; None for anything else."""
    name, text = key.strip(), value.removeprefix("=").strip()
    if name.lower() != name and _full_key(name.lower()) == name.lower():
        name = name.lower()
    in_braces = re.fullmatch(r"{([^{}:]+)}", text)
    if in_braces and _full_key(name) == name:
        return f"-m {name}={in_braces[1].replace(' ', '')}"
    tidied = f"{name}={text}"
    return tidied if tidied != f"{key}={value}" and _full_key(name) == name and text.split() == [text] else None


def _names_code(word: str) -> bool:
    """Whether the key of an override, or of a mapping in its value, is `_target_`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ChoiceSweep
    from hydra.errors import HydraException

    def has_target(value: Any) -> bool:
        if isinstance(value, dict):
            return any(str(key) == "_target_" or has_target(entry) for key, entry in value.items())
        return isinstance(value, list) and any(map(has_target, value))

    if "_target_" in word.partition("=")[0].split("."):
        return True
    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:  # Hydra explains it
        return False
    return has_target(value.list if isinstance(value, ChoiceSweep) else value)


def _no_choice(word: str, group: str) -> str:
    options = option_values(group)
    return f"{word}: type {group}=none" if "none" in options else f"{word}: choose one of {', '.join(options)}"


def _continues(value: str, word: str) -> bool:
    """Whether a word was meant to be part of the value before it, as in `seed=0, 1`, `seed= 1` and `seed=0 1`."""
    is_number = re.fullmatch(r"-?[\d.]+(e-?\d+)?%?,?", word)
    return bool(is_number) or (_is_bare(word) and (not value or value.endswith(",") or word.startswith(",")))


def _is_bare(word: str) -> bool:
    return "=" not in word and not re.match(r"[~+]|-\D", word)


def _dashes(word: str, words: list[str]) -> str:
    """A key with dashes, as in `--lr 1e-3` and `--lr=1e-3`."""
    name, equals, value = word.lstrip("-").partition("=")
    key, shown = name.replace("-", "_"), word
    if not equals and words and _is_bare(words[0]):
        value = words.pop(0)
        shown = f"{word} {value}"
    full = _full_key(key)
    instead = advice(key, value) or (f"type {full}={value or 'true'}" if full else None)
    if instead is None:
        return f"unknown flag {shown}; --help lists the keys, --hydra-help the flags"
    return f"{shown}: keys have no dashes; {instead}"


def _without_equals(word: str, words: list[str]) -> str:
    """`warmup_ratio 0.1`, `seed = 1`, `seed: 1`, the name of an option or a file alone, or anything else."""
    key = word.removesuffix(":")
    if advice(key) or _full_key(key):
        shown, value = word, ""
        if words and (words[0] == "=" or _is_bare(words[0]) or words[0].startswith("=")):
            shown += f" {words[0]}"
            value = words.pop(0).removeprefix("=")
        if not value and shown.endswith("=") and words and _is_bare(words[0]):
            shown += f" {words[0]}"
            value = words.pop(0)
        correction = advice(key, value) or f"type {_full_key(key)}={value or 'VALUE'}"
        return f"{shown}: {'needs an equals sign and no spaces' if value else 'has no value'}; {correction}"
    return _alone(word)


def _alone(word: str) -> str:
    """A word that is neither a key nor a value of one."""
    if word == "help":
        return "help: type --help"
    if DATA_FILE.fullmatch(word):
        return f"{word}: type task=files task.train_file={word}"
    choices = [f"{group}={word.lower()}" for group in GROUPS if word.lower() in option_values(group)]
    choices += [f"experiment={word}" for folder in experiment_folders() if (folder / word / "experiment.yaml").exists()]
    if choices:
        return f"{word}: type {' or '.join(choices)}"
    return f"{word}: arguments have the form KEY=VALUE, such as seed=1"


def _full_key(name: str) -> str | None:
    """The key that `name` is, or is the last part of; None if there is none."""
    section, _, last = name.rpartition(".")
    if last in known_keys(section):
        return name
    return next(iter(keys_named(name)), None)
