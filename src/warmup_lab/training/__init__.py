"""Training: what a run records, the loop, and how a run is skipped, retried or resumed.

`run.py` holds a run while it trains, `loop.py` the loop, `evaluate.py` evaluation, `execute.py` the decision to skip,
resume or train, `console.py` progress and Ctrl-C. `stacked/` trains many runs of a sweep as one tensor.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
