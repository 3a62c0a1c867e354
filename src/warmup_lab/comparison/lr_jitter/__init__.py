"""The learning rate at which the loss starts to jitter: found on ramps, confirmed at constant rates, and the advice
that follows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
