"""The local folder of an `output`: the folder itself, or the scratch folder of a URL."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from warmup_lab.config import check_output, is_url, without_protocol
from warmup_lab.system import cache_root

_MAX_NAME = 60
"""Characters of a URL in the name of its scratch folder."""


def output_folder(output: str) -> Path:
    """The folder that commands with this `output` write to. `~` is the home folder.

    For a URL it is below `WARMUP_LAB_SCRATCH`, by default `output/` in the cache. Results are published from there, and
    published results are copied to it.

    Raises:
        ConfigError: `output` is no folder and no URL that results can be published to.
    """
    check_output(output)
    if not is_url(output):
        return Path(without_protocol(output)).expanduser()
    url = output.rstrip("/")
    name = re.sub(r"[^\w.-]+", "-", url)[:_MAX_NAME]
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    scratch = os.environ.get("WARMUP_LAB_SCRATCH")
    root = Path(scratch).expanduser() if scratch else cache_root() / "output"
    return root.absolute() / f"{name}-{digest}"
