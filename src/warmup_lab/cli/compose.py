"""Composing a configuration with Hydra: run ids as folder names, experiments by name, and the plan that comes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from warmup_lab.cli.explain import explain
from warmup_lab.config import GROUPS, ROOT, ConfigError, resolve

if TYPE_CHECKING:
    from warmup_lab.plan import Plan


def register_experiments(folder: Path) -> None:
    """Makes every `<folder>/<name>/experiment.yaml` known as `experiment=<name>`."""
    from hydra.core.config_store import ConfigStore

    for path in sorted(folder.glob("*/experiment.yaml")):
        ConfigStore.instance().store(
            group="experiment", name=path.parent.name, node=OmegaConf.load(path), package="_global_", provider=str(path)
        )


def _run_id(*, _root_: DictConfig) -> str:
    """The run's id, for `hydra.run.dir`: so every check has passed before Hydra makes a folder."""
    return plan_of(_root_).run_id


# At import, since a launcher's worker process imports this module and runs nothing else of ours before its first job.
OmegaConf.register_new_resolver("run_id", _run_id, replace=True)


def plan_of(config: DictConfig) -> Plan:
    """The plan of the run that Hydra is about to make."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from warmup_lab.plan import make_plan  # torch: only where a run is made

    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    return make_plan(resolve(config, multirun=multirun), multirun=multirun)


def compose_plan(overrides: list[str]) -> Plan:
    """The plan of the run that `train.py` with these overrides would make; `ConfigError` where it could not."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from warmup_lab.plan import make_plan

    register_experiments(ROOT / "experiments")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        try:
            return make_plan(resolve(hydra_compose("config", lower_case_choices(overrides))))
        except Exception as error:
            raise ConfigError(explain(error) or str(error)) from error


def lower_case_choices(overrides: list[str]) -> list[str]:
    """The names of the registries are case-insensitive, Hydra's options are files: `scheduler=WarmupCosine`."""
    choice = re.compile(rf"({'|'.join(GROUPS)})=([\w,]+)")
    return [text.lower() if choice.fullmatch(text) else text for text in overrides]
