from .registry import OPTIMIZERS as OPTIMIZERS
from .registry import build_optimizer as build_optimizer
from .registry import check_options as check_options
from .registry import evaluating as evaluating
