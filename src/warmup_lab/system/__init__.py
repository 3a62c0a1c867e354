"""What the operating system provides, and all random streams.

`files` writes files atomically, `cache` keeps computed files on disk, `locks` keeps two sweeps out of one folder,
`network` checks whether a server answers, `devices` describes this machine, and `seeding` has every random stream.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
