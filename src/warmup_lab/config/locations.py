"""Checks of the keys that say where results are: `study` and `output`."""

from __future__ import annotations

import re

from warmup_lab.config.errors import require

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
"""Protocols of fsspec that create a file in one step, and only if it is missing."""
_FOLDER = ("file", "local")
_URL = re.compile(r"([A-Za-z][\w+.-]*)://")


def check_study(study: str) -> None:
    """Raises `ConfigError` unless `study` is the name of a folder."""
    is_name = bool(study) and study not in (".", "..") and study.isprintable()
    require(is_name and not set("/\\") & set(study), f"study={study!r}: must be a plain folder name")


def is_url(output: str) -> bool:
    """Whether `output` is the URL of an object store and not a folder."""
    found = _URL.match(output)
    return found is not None and found[1].lower() not in _FOLDER


def without_protocol(output: str) -> str:
    """The path of `file:///path`; any other text as it is."""
    return output if is_url(output) else _URL.sub("", output, count=1)


def check_output(output: str, *, force: bool = False) -> None:
    """Raises `ConfigError` if `output` is no folder and no URL that results can be published to, or with `force`.

    No message shows credentials.
    """
    require(
        bool(without_protocol(output).strip()), f"output={output!r}: name a folder, or a URL such as s3://bucket/runs"
    )
    if not is_url(output):
        return
    scheme, place = output.split("://", 1)
    host = place.partition("/")[0]
    user, at, _ = host.rpartition("@")
    # abfs://container@account is the form of a plain address there
    secret = bool(at) and (":" in user or scheme.lower() not in ("az", "abfs", "abfss"))
    require(
        not secret and not {"?", "#"} & set(place),
        f"output={scheme}://...: a URL with credentials, ? or # is refused, because it is written to files and logs; "
        "credentials come from the environment, such as AWS_PROFILE",
    )
    require(
        scheme.lower() in OBJECT_STORES and "::" not in output,
        f"output={output}: results cannot be published there, because two writers of one run could mix; use a folder "
        "(mount the file system) or s3://, gs:// or az://",
    )
    require(bool(host), f"output={output}: names no bucket; such as {scheme}://bucket/runs")
    require(
        not force,
        f"force=true cannot be used with output={output}, because published results are never replaced: remove the run "
        "there, or choose another study=NAME",
    )
