"""Weights & Biases behind one small interface. Nothing in this package may stop, slow or end a run.

`tracker` records a training run, `summary` the summary run of a sweep. `names` has the names of metrics and runs.
`wandb_run` decides between online and offline and opens the run. All calls into wandb go through `guard`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
