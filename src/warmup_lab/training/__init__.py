"""Training: the loop of one run, what a run records, and how a run is skipped, retried or resumed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
