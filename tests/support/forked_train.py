"""`python forked_train.py ARGS` is `python train.py ARGS` by the fork server, for programs that start it themselves."""

import sys
from pathlib import Path

from fork_server import relay
from program import start_train_py

relay(start_train_py(*sys.argv[1:], cwd=Path.cwd()))
