from .compose import compose_plan as compose_plan
from .entry import main as main
from .entry import run as run
from .script import run_script as run_script
