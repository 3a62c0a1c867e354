"""The command line.

`entry` runs `train.py`, `compose` composes configurations and plans with Hydra, `explain` words the errors.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
