"""Weights & Biases behind one small interface. Nothing in this package may stop, slow or end a run.

`tracker` records a training run, `summary` the summary run of a sweep. Both call wandb through `guard`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
