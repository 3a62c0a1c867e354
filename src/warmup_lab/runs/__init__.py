"""What a run leaves on disk.

`trace.py` holds its trace and evaluations, `checkpoint.py` its checkpoint, `progress.py` the state of an unfinished
run, `result.py` its `result.json`, written and read in one place.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
