"""Explorers: widgets that show what a model does, in JupyterLab and without a network.

All are drawn in the browser, by anywidget: `data.py` says what is shown (a pure
function that gives a plain dictionary), `widget.py` has what a reader can set and what needs the
model, and a `.js` and a `.css` file draw. `browser/` has what such explorers share; begin with
`browser/explorer.py` to add one.

`picture.py` and `svg.py` draw the still pictures that stand where no widget can be drawn, and
`modes.svg` is the picture that notebooks 00 and 01 begin with.
"""

from coconut_lab.explorers.comparison.widget import ModelComparison
from coconut_lab.explorers.curriculum.widget import CurriculumView
from coconut_lab.explorers.halting.widget import HaltExplorer
from coconut_lab.explorers.monitor.widget import TrainingMonitor
from coconut_lab.explorers.picture import Picture
from coconut_lab.explorers.search_tree.widget import SearchTree
from coconut_lab.explorers.stepper.widget import ThoughtStepper
from coconut_lab.explorers.thought_editor.widget import ThoughtEditor

__all__ = [
    "CurriculumView",
    "HaltExplorer",
    "ModelComparison",
    "Picture",
    "SearchTree",
    "ThoughtEditor",
    "ThoughtStepper",
    "TrainingMonitor",
]
