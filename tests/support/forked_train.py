"""`python forked_train.py ARGS` is `python train.py ARGS` by the fork server, for programs that start it themselves."""

import sys
from pathlib import Path

from program import start_train_py

process = start_train_py(*sys.argv[1:], cwd=Path.cwd())
for text, stream in zip(process.communicate(), (sys.stdout, sys.stderr), strict=True):
    stream.write(text)
sys.exit(process.returncode)
