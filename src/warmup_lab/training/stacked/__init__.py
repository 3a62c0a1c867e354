"""Training many runs of a sweep as one tensor, so that every kernel does the work of all of them.

`train.py` decides which runs train together and what happens if a group fails, `grouping.py` which runs have the same
shapes and how many fit into memory. `loop.py` is the loop, with the sections of `training/loop.py`. `model.py`,
`dropout.py`, `optimizers.py`, `batches.py` and `evaluate.py` are its parts.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
