"""What the sweepers refuse before they make cells."""

import pytest
from omegaconf import OmegaConf

from warmup_lab.config.errors import ConfigError
from warmup_lab.sweeps.sweepers import GridMultirun


@pytest.mark.parametrize("subdir", ["x", "${hydra.job.num}"])
def test_the_folder_of_a_run_is_named_by_its_id(subdir):
    sweeper = GridMultirun()
    sweeper._config = OmegaConf.create({"hydra": {"sweep": {"dir": "runs", "subdir": subdir}}})
    with pytest.raises(ConfigError, match="the folder of a run is named by its id"):
        sweeper.sweep(["seed=0,1"])
