from .grouping import group_key as group_key
from .grouping import groups_of as groups_of
from .train import CannotStack as CannotStack
from .train import train_stacked as train_stacked
