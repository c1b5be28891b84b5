"""Explorers: widgets that show what a model does, in JupyterLab and without a network."""

from coconut_lab.explorers.curriculum_view import CurriculumView
from coconut_lab.explorers.halt_explorer import HaltExplorer
from coconut_lab.explorers.monitor import TrainingMonitor
from coconut_lab.explorers.stepper import ThoughtStepper

__all__ = ["CurriculumView", "HaltExplorer", "ThoughtStepper", "TrainingMonitor"]
