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


def wrong_type(key: str, value: Any, annotation: Any) -> str:
    """The message for the value of a key or option whose type should be `annotation`, a type or its source text.

    >>> wrong_type("warmup_ratio", "10%", "float | None")
    'warmup_ratio=10%: must be a number or null; type warmup_ratio=0.1'
    """
    kinds = [kind.strip() for kind in (getattr(annotation, "__name__", None) or str(annotation)).split("|")]
    words = " or ".join(_WORDS.get(kind, kind) for kind in kinds)
    instead = _instead(key, value, kinds)
    shown = "null" if value is None else value
    return f"{key}={shown}: must be {words}" + (f"; type {instead}" if instead else "")


def is_python_none(value: Any, annotation: Any) -> bool:
    """Whether `value` is the text `None`, which Python's users write for the null of YAML, and null is allowed."""
    return value == "None" and "None" in str(annotation)


def _instead(key: str, value: Any, kinds: list[str]) -> str | None:
    text = str(value)
    share = share_of_percent(text)
    fraction = share or (text if isinstance(value, float) and 0 < value < 1 else None)
    if key == "warmup_steps" and fraction:
        return f"warmup_ratio={fraction}"
    if share and "float" in kinds:
        return f"{key}={share}"
    if "int" in kinds and isinstance(value, float) and value.is_integer():
        return f"{key}={int(value)}"
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
