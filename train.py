"""Trains one classifier with one warmup strategy or, with -m, a grid of strategies. See `python train.py --help`."""

import sys

try:
    import hydra
    from omegaconf import DictConfig

    from warmup_lab import cli
except ModuleNotFoundError as error:
    sys.exit(f"train.py needs the package {error.name!r}: run `make install`, then `. .venv/bin/activate`")


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def train(config: DictConfig) -> float | None:
    """Trains one run and returns its metric for the sweeper."""
    return cli.run(config)


if __name__ == "__main__":
    sys.exit(cli.main(train))
