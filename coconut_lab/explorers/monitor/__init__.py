"""The monitor of a training run."""

from coconut_lab.explorers.monitor.data import elapsed, read_log

__all__ = ["elapsed", "read_log"]
