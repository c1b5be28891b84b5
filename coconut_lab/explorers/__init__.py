"""Explorers: widgets that show what a model does, in JupyterLab and without a network."""

from coconut_lab.explorers.stepper import ThoughtStepper

__all__ = ["ThoughtStepper"]
