"""The typed configuration: dataclasses, how Hydra's `DictConfig` becomes one, update arithmetic, and user errors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
