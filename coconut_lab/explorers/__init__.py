"""Explorers: widgets that show what a model does, in JupyterLab and without a network.

Each has a folder: `state.py` says what a picture is made from, `drawing.py` draws it with a pure
function, `widget.py` has the controls. They share `base.py` (the widget), `html.py` (cards),
`svg.py` (drawings) and `picture.py` (what a notebook keeps of them). `modes.svg` is the picture
that notebooks 00 and 01 begin with.
"""

from coconut_lab.explorers.curriculum.widget import CurriculumView
from coconut_lab.explorers.halting.widget import HaltExplorer
from coconut_lab.explorers.monitor.widget import TrainingMonitor
from coconut_lab.explorers.picture import Picture
from coconut_lab.explorers.stepper.widget import ThoughtStepper

__all__ = ["CurriculumView", "HaltExplorer", "Picture", "ThoughtStepper", "TrainingMonitor"]
