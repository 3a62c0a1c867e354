"""Metrics as pure functions of arrays: oscillation of a loss trace, classification, and what each metric is called."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
