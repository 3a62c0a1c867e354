"""`GroupJobs` functions for `hydra.launcher.batch`, which names them by their dotted names."""

from warmup_lab.sweeps.launchers import JobGroup


def all_together(jobs, _folders, task_function):
    """All jobs of the launch in one group; each job runs its own task function."""
    return [JobGroup(range(len(jobs)), lambda: [task_function] * len(jobs))]


def one_by_one(_jobs, _folders, _task_function):
    """No groups."""
    return []
