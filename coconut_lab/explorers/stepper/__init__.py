"""The explorer that steps through thoughts."""

from coconut_lab.explorers.stepper.drawing import graph_picture
from coconut_lab.explorers.stepper.state import State

__all__ = ["State", "graph_picture"]
