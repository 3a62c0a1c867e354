from .registry import Probes as Probes
