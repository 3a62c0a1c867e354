"""Learning-rate schedules: warmup shapes, decays, and the registry that joins them into multipliers of the peak lr."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
