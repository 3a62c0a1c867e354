"""warmup-lab: settles, with evidence, how to warm up the learning rate.

The functions below are for your own code; `docs/library.md` shows each one. They are imported when they are first used.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
