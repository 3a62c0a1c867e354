from .loss_trace import Oscillation as Oscillation
from .loss_trace import WindowMetrics as WindowMetrics
from .loss_trace import oscillation as oscillation
from .schedule import get_schedule as get_schedule
from .sweep_table import load_runs as load_runs
from .table_comparison import compare as compare
from .table_result import TableComparison as TableComparison
