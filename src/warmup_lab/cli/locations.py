"""Where `conf/` and the experiments are: inside the package in a wheel, at the root of a clone otherwise."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def conf_folder() -> Path:
    """The folder of `config.yaml` and of the groups."""
    return _shipped("conf")


def experiment_folders() -> list[Path]:
    """The folders with `<name>/experiment.yaml`: that of warmup-lab, then `experiments/` in the working directory.

    An experiment in a later folder replaces one of the same name.
    """
    shipped, own = _shipped("experiments"), Path.cwd() / "experiments"
    return [shipped] if own.resolve() == shipped else [shipped, own]


def _shipped(name: str) -> Path:
    """The wheel has a copy inside the package. A clone has none there: pyproject.toml puts it into the wheel alone."""
    in_package = _PACKAGE / name
    return in_package if in_package.is_dir() else _PACKAGE.parents[1] / name
