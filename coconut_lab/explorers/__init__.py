"""Explorers: widgets that show what a model does, in JupyterLab and without a network."""

from coconut_lab.explorers.curriculum.widget import CurriculumView
from coconut_lab.explorers.halting.widget import HaltExplorer
from coconut_lab.explorers.monitor.widget import TrainingMonitor
from coconut_lab.explorers.stepper.widget import ThoughtStepper

__all__ = ["CurriculumView", "HaltExplorer", "ThoughtStepper", "TrainingMonitor"]
