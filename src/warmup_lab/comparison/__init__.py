"""What may be concluded from a sweep: runs as a table, arms, tests, verdicts and their sentences."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
