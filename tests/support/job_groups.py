"""Functions for `hydra.launcher.batch`, named there by their dotted names."""

from warmup_lab.sweeps.launchers import JobGroup


def all_together(jobs, _folders, task_function):
    """A `GroupJobs` of the tests: every job of the launch in one group, each handed over by its own task function."""
    return [JobGroup(range(len(jobs)), lambda: [task_function] * len(jobs))]


def one_by_one(_jobs, _folders, _task_function):
    return []
