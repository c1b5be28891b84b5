"""The explorer that steps through thoughts."""

from coconut_lab.explorers.stepper.drawing import graph_picture

__all__ = ["graph_picture"]
