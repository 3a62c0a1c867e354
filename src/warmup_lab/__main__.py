"""`python -m warmup_lab` equals the console script `warmup-lab`."""

import sys

from warmup_lab.cli import run_script

if __name__ == "__main__":
    sys.exit(run_script())
