"""The monitor of a training run."""

from coconut_lab.explorers.monitor.state import elapsed, read_log

__all__ = ["elapsed", "read_log"]
