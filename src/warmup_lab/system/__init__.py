"""What the operating system provides: atomic files, the cache, locks, one network check, devices, and all random
streams."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
