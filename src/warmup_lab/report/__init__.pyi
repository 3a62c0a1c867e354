from .build import report_sweep as report_sweep
