"""Shifts the seed of every training in processes that tests start; Python imports this file by its name at start-up.

`tests/conftest.py` puts this folder on `PYTHONPATH` when `WARMUP_LAB_TEST_SEED_OFFSET` is set.
"""

import os

try:
    from warmup_lab.system import seeding
except ModuleNotFoundError:  # another Python than the one that runs the tests
    pass
else:
    seeding.RUN_SEED_OFFSET = int(os.environ["WARMUP_LAB_TEST_SEED_OFFSET"])
