"""Composing a configuration with Hydra: experiments, the default sweeper, run ids as folder names, and plans."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from warmup_lab.cli.config_files import checked_config_files
from warmup_lab.cli.explain import explain
from warmup_lab.cli.locations import conf_folder, experiment_folders
from warmup_lab.cli.mistakes import refuse_mistakes
from warmup_lab.cli.single_run import refuse_sweep_as_one_run
from warmup_lab.config import GROUPS, ConfigError, require, resolve, section_title
from warmup_lab.training import launched

if TYPE_CHECKING:
    from warmup_lab.plan import Plan

_MAX_TITLE = 60
"""Characters; the name of a folder may have 255 bytes."""


def register_experiments(*folders: Path) -> None:
    """Makes every `<folder>/<name>/experiment.yaml` available as `experiment=<name>`; later folders take precedence."""
    from hydra.core.config_store import ConfigStore

    for path in (path for folder in folders for path in sorted(folder.glob("*/experiment.yaml"))):
        try:
            node = OmegaConf.load(path)
            require(isinstance(node, DictConfig), "must be a mapping of keys to values")
        except (OSError, ValueError, YAMLError) as error:  # the user's file, perhaps of another program
            print(f"skipped {path}: {' '.join(str(error).split())}", file=sys.stderr)
            continue
        ConfigStore.instance().store(
            group="experiment", name=path.parent.name, node=node, package="_global_", provider=str(path)
        )


@contextmanager
def default_sweeper(name: str) -> Iterator[None]:
    """Makes `hydra/sweeper=<name>` the default sweeper inside the block.

    Hydra's default is the option `basic`, so the block stores the sweeper under that name too. An `override
    hydra/sweeper` in `conf/config.yaml` would also set a default, but it takes precedence over the same override in an
    experiment. Hydra's `basic` is put back afterwards: other Hydra programs of the same process need it.
    """
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # discovers plugins, which stores Hydra's own `basic`: it must happen before ours is stored
    store = ConfigStore.instance()
    chosen, original = (store.load(f"hydra/sweeper/{option}.yaml") for option in (name, "basic"))
    store.store(group="hydra/sweeper", name="basic", node=chosen.node, provider=chosen.provider)
    try:
        yield
    finally:
        store.store(group="hydra/sweeper", name="basic", node=original.node, provider=original.provider)


def _run_id(*, _root_: DictConfig) -> str:
    """The run's id, for `hydra.run.dir`. Computing it checks the whole plan before Hydra creates a folder."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode == RunMode.RUN:
        resolve(_root_)  # names a wrong value before the missing -m, whose message repeats the value
        refuse_sweep_as_one_run(HydraConfig.get())
    return plan_of(_root_).run_id


def _title(section: str, *, _root_: DictConfig) -> str:
    """The name of the task or the model in the results, as part of the name of a folder: `${title:task}`."""
    values: Any = OmegaConf.to_container(_root_[section], resolve=True) if section in _root_ else {}
    return re.sub(r"[^\w.-]+", "_", section_title(section, values))[:_MAX_TITLE]


def _output_folder(*, _root_: DictConfig) -> str:
    """The folder of all results, for `hydra.run.dir` and `hydra.sweep.dir`."""
    from warmup_lab.runs import output_folder

    return str(output_folder(str(_root_.output)))


# Registered at import: a launcher's worker process imports this module and nothing else of ours before its first job.
OmegaConf.register_new_resolver("run_id", _run_id, replace=True)
OmegaConf.register_new_resolver("title", _title, replace=True)
OmegaConf.register_new_resolver("output_folder", _output_folder, replace=True)


def plan_of(config: DictConfig) -> Plan:
    """The plan of the run that Hydra is about to start."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from warmup_lab.plan import make_plan  # imports torch, which --help and --cfg do not need

    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    plan = make_plan(resolve(config, multirun=multirun), multirun=multirun)
    if launch := launched():
        from warmup_lab.training import refuse_unshared

        refuse_unshared(plan, launch)
    return plan


def compose_plan(overrides: list[str], config_dir: Path | None = None) -> Plan:
    """The plan of the single run that `train.py` would start with these overrides.

    Args:
        overrides: Words such as `scheduler=warmupcosine`.
        config_dir: A folder with more options, as for `--config-dir`.

    Raises:
        ConfigError: the overrides do not describe a valid run.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from warmup_lab.plan import make_plan

    require(not config_dir or config_dir.is_dir(), f"--config-dir {config_dir}: no such folder")
    register_experiments(*experiment_folders())
    with checked_config_files(), initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            refuse_mistakes(overrides)
            search = [f"hydra.searchpath=['file://{config_dir.resolve()}']"] if config_dir else []
            return make_plan(resolve(hydra_compose("config", [*search, *lower_case_choices(overrides)])))
        except Exception as error:
            raise ConfigError(explain(error, overrides) or str(error)) from error


def lower_case_choices(overrides: list[str]) -> list[str]:
    """The overrides with the choices of our groups in lower case, so that `scheduler=WarmupCosine` works.

    Names are case-insensitive in our registries, but Hydra looks for a file of that name.
    """
    choice = re.compile(rf"({'|'.join(GROUPS)})=([\w,]+)")
    return [text.lower() if choice.fullmatch(text) else text for text in overrides]
