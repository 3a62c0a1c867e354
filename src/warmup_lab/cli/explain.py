"""Error messages: what is wrong and how to correct it, whichever library raised the error."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterable, Sequence

from warmup_lab.cli.keys import keys_named, known_keys, options_with
from warmup_lab.cli.mistakes import DATA_FILE, command
from warmup_lab.config import WHOLE_NUMBERS, ConfigError, advice, advice_in_section, suggestion, unknown_key
from warmup_lab.schedules import unsupported_reason

_LISTS = ("optimizer.betas", "compare.looks", "task.text_columns")
"""Keys whose values are lists."""
_SCHEDULES_ELSEWHERE = {
    "linear_with_warmup": "warmuplinear",
    "linear_warmup": "warmuplinear",
    "cosine_with_warmup": "warmupcosine",
    "cosine_warmup": "warmupcosine",
    "cosine_annealing": "warmupcosine",
    "cosineannealinglr": "warmupcosine",
    "cosine_with_hard_restarts": "warmupcosinewithhardrestarts",
    "cosine_with_hard_restarts_with_warmup": "warmupcosinewithhardrestarts",
    "constant_warmup": "warmupconstant",
    "polynomial_decay": "polynomial",
    "polynomial_decay_with_warmup": "polynomial",
    "onecyclelr": "onecycle",
    "wsd": "warmup_stable_decay",
    "none": "constantlr",
}
"""Names of schedules in other programs, without `get_` and `_schedule`, and the same schedule here."""


def explain(error: BaseException, words: Sequence[str] = ()) -> str | None:
    """One or two lines on what is wrong and how to correct it; None if only a traceback helps.

    `words` are those of the command line. With them, the message gives the value of an unknown key.
    """
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    for link in _chain(error):
        if isinstance(link, ConfigError):
            return str(link)
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _unknown_option(link.missing_cfg_file, list(link.options or []))
        if isinstance(link, OverrideParseException):
            return _unreadable(link.override)
        if number := _system_error(link):
            return f"{os.strerror(number)}: {getattr(link, 'filename', None) or _output_folder(words)}"
        if isinstance(link, RuntimeError) and str(link) == "Could not determine home directory.":
            return _no_such_user(words)
        merging = re.match("Error merging override (.+)", str(link))
        if merging:
            return f"{merging[1]}: {str(link.__cause__).splitlines()[0]}"
        several = re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+)'", str(link))
        if several:
            return _several_values(several[1], words)
        unknown = re.match(r"Could not override '([^']+)'", str(link))
        if unknown:
            return _unknown_key(unknown[1], _value_of(unknown[1], words))
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return "\n".join(str(error).strip().splitlines()[:2])
    return None


def _system_error(error: BaseException) -> int | None:
    """The number of an operating system's error. Libraries in Rust, such as tokenizers, give it in the message only."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    named = re.search(r"\(os error (\d+)\)", str(error))
    return int(named[1]) if named else None


def _output_folder(words: Iterable[str]) -> str:
    """Where the command writes, for errors that lack a path: Hydra's own, and those of compiled libraries."""
    given = [word.partition("=")[2] for word in words if re.match(r"(hydra\.(run|sweep)\.dir|output)=.", word)]
    return given[-1] if given else "runs"


def _chain(error: BaseException) -> Iterable[BaseException]:
    """The error and the errors that caused it, outermost first."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


# -------------------------------------------------------------------------------------------------------- values


def _several_values(override: str, words: Sequence[str]) -> str:
    """Several values without `-m`."""
    key, _, value = override.partition("=")
    if key in _LISTS:
        return f"{override}: the value is a list; type '{key}=[{value}]'"
    text = f"{override}: several values need -m; type {command(['-m', *(words or [override])])}"
    if re.fullmatch(r"0,\d+", value) and key not in WHOLE_NUMBERS:
        text += f"\nFor one number, type {key}={value.replace(',', '.')}"
    return text


def _no_such_user(words: Iterable[str]) -> str:
    """A path that starts with `~` and a name that is no user's."""
    given = [*(f"{key}={os.environ.get(key)}" for key in ("WARMUP_LAB_CACHE", "WARMUP_LAB_DATA")), *words]
    found = [word for word in given if re.search(r"=[\"']?~\w", word)]
    return f"{found[0] if found else 'a path'}: starts with ~ and the name of no user here; write the path in full"


def _unreadable(override: str) -> str:
    """A value with characters that have a meaning in Hydra's grammar, such as brackets."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, _, value = override.partition("=")
    for other in (f"[{value[1:-1]}]" if value.startswith("(") and value.endswith(")") else "", f'"{value}"'):
        correction = f"{key}={other}"
        try:
            if other and not value.startswith(("[", "{", '"', "'")):
                OverridesParser.create().parse_override(correction)
                return f"{override}: special characters need quotes; type {shlex.quote(correction)}"
        except HydraException:
            continue
    return f"{override}: the value cannot be read: check its brackets, quotes and commas"


# ---------------------------------------------------------------------------------------------------------- keys


def _value_of(key: str, words: Iterable[str]) -> str | None:
    values = [word.partition("=")[2] for word in words if word.partition("=")[0].lstrip("+") == key]
    return values[-1] if values else None


def _unknown_key(key: str, value: str | None) -> str:
    section, _, name = key.rpartition(".")
    known, meant = known_keys(section), advice_in_section(key, value or "")
    if not known:
        elsewhere = advice(name, value or "") or _type_one_of(keys_named(name), value)
        if elsewhere and not known_keys(section.partition(".")[0]):
            return f"unknown key {key}; {elsewhere}"
        parent, _, last = section.rpartition(".")
        if last in known_keys(parent):
            return f"unknown key {key}: {section} has no keys; type {section}={value or 'VALUE'}"
        return _unknown_key(section, value)
    shown = value or "VALUE"
    if name in known:
        if key == "task.path" and DATA_FILE.fullmatch(shown):
            return f"{key}={shown}: your own files are task=files task.train_file={shown}"
        options = options_with(section, name)
        needed = f"{section}={options[0]}" if len(options) == 1 else f"another {section}: {', '.join(options)}"
        return f"{key}={shown} needs {needed}"
    elsewhere = _type_one_of(keys_named(name), value)
    if elsewhere and meant is None:
        return f"unknown key {key}; {elsewhere}"
    return unknown_key(key, known, value or "")


def _type_one_of(keys: Sequence[str], value: str | None) -> str:
    shown = value or "VALUE"
    return f"type {' or '.join(f'{key}={shown}' for key in keys)}" if keys else ""


# ------------------------------------------------------------------------------------------------------- options


def _unknown_option(missing: str, options: Sequence[str]) -> str:
    """A group without such an option. Hydra gives group and option as one path."""
    group, _, name = missing.rpartition("/") if missing.startswith("hydra/") else missing.partition("/")
    if not name:
        group, name = "configuration", group
    reason = unsupported_reason(name) if group == "scheduler" else None
    return reason or _instead(group, name, options) or f"unknown {group} {name!r}{suggestion(name, options)}"


def _instead(group: str, name: str, options: Sequence[str]) -> str | None:
    """The message for a name that means something else here than an option; None for any other name."""
    plain = re.sub("[-_]", "", name.lower())
    same = next((option for option in options if option.replace("_", "") == plain), None)
    if same:
        return f"unknown {group} {name!r}; type {group}={same}"
    if group == "scheduler":
        plain = re.sub("^get_|_schedule", "", name.lower())
        same = _SCHEDULES_ELSEWHERE.get(plain)
        return f"unknown scheduler {name!r}; type scheduler={same}" if same else None
    if group == "model" and not difflib.get_close_matches(name, options, cutoff=0.8):
        return (
            f"unknown model {name!r}; a model of the hub or in a folder is model=pretrained model.path={name}. "
            f"With random weights: {', '.join(option for option in options if option != 'pretrained')}"
        )
    if group == "tracking" and name in ("online", "offline"):
        return f"unknown tracking {name!r}; type tracking=wandb tracking.mode={name}"
    if group == "task":
        return _other_task(name, options)
    return None


def _other_task(name: str, options: Sequence[str]) -> str | None:
    if DATA_FILE.fullmatch(name):
        return f"unknown task {name!r}; your own files are task=files task.train_file={name}"
    if "/" in name or not difflib.get_close_matches(name, options, cutoff=0.6):
        return (
            f"unknown task {name!r}; a data set of the hub or in a folder is task=hub task.path={name}. "
            f"Known: {', '.join(options)}"
        )
    return None
