"""Error messages for values of the wrong type: the type in plain words, and what to type instead."""

from __future__ import annotations

import re
from typing import Any

from warmup_lab.config.foreign_keys import share_of_percent

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "list[int]": "a list of whole numbers, such as [6,12,24]",
    "list[str]": "a list of names, such as [sentence1,sentence2]",
    "None": "null",
    "NoneType": "null",
}


_COUNT = "from 1 on"
_VALUES = {
    "batch_size": (_COUNT, "32"),
    "checkpoint_every": (_COUNT, "1000"),
    "compare.budget_minutes": ("above 0", "10"),
    "compare.failure_margin": ("between 0 and 1", "0.2"),
    "compare.margin": ("above 0", "0.02"),
    "epochs": (_COUNT, "3"),
    "eval_every": (_COUNT, "100"),
    "grad_accumulation": (_COUNT, "2"),
    "max_grad_norm": ("above 0", "1"),
    "max_steps": (_COUNT, "1000"),
    "model.dropout": ("in [0, 1)", "0.1"),
    "num_threads": (_COUNT, "4"),
    "optimizer.eps": ("above 0", "1e-8"),
    "optimizer.lr": ("above 0", "1e-3"),
    "optimizer.weight_decay": ("from 0 on", "0.01"),
    "seed": ("from 0 on", "1"),
    "task.limit": (_COUNT, "1000"),
    "task.max_length": ("from 8 on", "128"),
    "task.validation_share": ("between 0 and 1", "0.1"),
    "warmup_epochs": ("from 0 on", "0.5"),
    "warmup_ratio": ("in [0, 1]", "0.1"),
    "warmup_steps": ("from 0 on", "50"),
}
"""Keys that are typed most -> their range and an example. Their dataclasses check the range."""
WHOLE_NUMBERS = (
    "seed", "epochs", "max_steps", "batch_size", "grad_accumulation", "warmup_steps", "eval_every", "checkpoint_every",
    "num_threads", "task.limit", "task.max_length",
)  # fmt: skip
"""Those of them that are whole numbers."""
_SHARES = ("in [0, 1]", "in [0, 1)", "between 0 and 1")
"""Ranges of keys that may be meant in percent."""
_A_SHARE = _SHARES[:1]
_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000}


def wrong_type(key: str, value: Any, annotation: Any) -> str:
    """The message for the value of a key or option whose type should be `annotation`, a type or its source text.

    >>> wrong_type("warmup_ratio", "10%", "float | None")
    'warmup_ratio=10%: must be a number or null; type warmup_ratio=0.1'
    """
    kinds = [kind.strip() for kind in (getattr(annotation, "__name__", None) or str(annotation)).split("|")]
    words = [_WORDS.get(kind, kind) for kind in kinds]
    instead = _instead(key, value, kinds)
    shown = "null" if value is None else value
    if instead:
        return f"{key}={shown}: must be {' or '.join(words)}; type {instead}"
    if key in _VALUES:
        values, example = _VALUES[key]
        words[0] += f" {values}, such as {example}{',' * (len(words) > 1)}"
    return f"{key}={shown}: must be {' or '.join(words)}"


def is_python_none(value: Any, annotation: Any) -> bool:
    """Whether `value` is the text `None`, which Python's users write for the null of YAML, and null is allowed."""
    return value == "None" and "None" in str(annotation)


def _instead(key: str, value: Any, kinds: list[str]) -> str | None:
    text = str(value)
    share = share_of_percent(text)
    fraction = share or (text if isinstance(value, float) and 0 < value < 1 else None)
    if key == "warmup_steps" and fraction:
        return f"warmup_ratio={fraction}"
    if share and "float" in kinds and (_VALUES.get(key, _A_SHARE)[0] in _SHARES or key == "compare.margin"):
        return f"{key}={share}"
    if "int" in kinds and isinstance(value, float) and value.is_integer():
        return f"{key}={int(value)}"
    if key == "epochs" and isinstance(value, float):
        return "max_steps=N for a part of an epoch"
    scaled = re.fullmatch(r"(\d+(?:[.]\d+)?)([km]?)", text.lower())
    number = float(scaled[1]) * _THOUSANDS[scaled[2]] if scaled and isinstance(value, str) else None
    if number is not None and "int" in kinds and number.is_integer():
        return f"{key}={int(number)}"
    minutes = re.fullmatch(r"(\d+) ?(m|h|hours?)", text.lower()) if key.endswith("_minutes") else None
    if minutes:
        return f"{key}={int(minutes[1]) * (1 if minutes[2] == 'm' else 60)}"
    with_unit = re.fullmatch(r"(\d+) ?(steps|updates|epochs|examples|tokens|min|minutes|threads)", text)
    if with_unit:
        return f"{key}={with_unit[1]}"
    if isinstance(value, list) and not any(kind.startswith("list") for kind in kinds):
        return f"-m {key}={','.join(map(str, value))} for several runs"
    first_and_last = re.fullmatch(r"(\d+)(?:-|:|[.][.])(\d+)", text)
    if first_and_last and "int" in kinds:
        return f"-m '{key}=range({first_and_last[1]},{int(first_and_last[2]) + 1})' for several runs"
    if text.lower() in ("none", "") and "None" in kinds:
        return f"{key}=null"
    if isinstance(value, str | int | float) and any(kind.startswith("list") for kind in kinds):
        return f"'{key}=[{text.strip('()')}]'"
    return None
