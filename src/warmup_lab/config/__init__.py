"""The typed configuration of a run: dataclasses, conversion from Hydra, update arithmetic, and user errors.

`schema`, `task_schema` and `model_schema` hold the dataclasses, `parse` converts Hydra's `DictConfig` into them,
`options` checks the options of schedules and optimizers, `steps` counts updates, and `errors` holds `ConfigError`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
