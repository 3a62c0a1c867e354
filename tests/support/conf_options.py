"""Options of the groups in `conf/`, composed by Hydra, since a file may inherit through its defaults list."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from program import ROOT


def option_names(group: str) -> list[str]:
    """The options of a group, such as `bert_tiny` and `pretrained` for `model`."""
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


@cache
def option_values(group: str, name: str) -> dict[str, Any]:
    """The keys and values that `<group>=<name>` gives the section, in the order of the file."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return OmegaConf.to_container(compose("config", [f"{group}={name}"])[group])  # type: ignore[return-value]
