"""Probes: optional measurements on the model while it trains. They add columns to the trace and change nothing else.

- `base`: what a probe sees of a run, the fixed batch, and helpers to measure on it.
- `overshoot`, `sharpness`, `critical_lr`, `layers`: one probe each, with formula, unit, source and cost.
- `registry`: the names, and all configured probes of a run.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
