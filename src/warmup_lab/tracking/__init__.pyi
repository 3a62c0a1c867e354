from .names import run_name as run_name
from .summary import SummaryRun as SummaryRun
from .summary import log_summary_run as log_summary_run
from .tracker import NullTracker as NullTracker
from .tracker import Tracker as Tracker
from .tracker import start_tracker as start_tracker
from .wandb_run import TrackedRun as TrackedRun
