"""warmup-lab: settles, with evidence, how to warm up the learning rate."""

__version__ = "0.1.0"
