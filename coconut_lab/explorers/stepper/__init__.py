"""The explorer that steps through thoughts."""

from coconut_lab.explorers.stepper.still import graph_picture

__all__ = ["graph_picture"]
