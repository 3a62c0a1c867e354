"""The command line.

`script` is the console script `warmup-lab`, `entry` runs `train.py`, `compose` composes configurations and plans with
Hydra, `locations` says where `conf/` and the experiments are, `completion` answers the shell. `mistakes` and `explain`
word errors, `help`, `keys` and `key_docs` the text of `--help`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
