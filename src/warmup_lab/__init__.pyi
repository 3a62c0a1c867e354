from .library import LoggedRun as LoggedRun
from .library import Oscillation as Oscillation
from .library import TableComparison as TableComparison
from .library import WindowMetrics as WindowMetrics
from .library import compare as compare
from .library import get_schedule as get_schedule
from .library import import_runs as import_runs
from .library import load_runs as load_runs
from .library import oscillation as oscillation

__version__: str
