"""The course's own results: `python -m coconut_lab.study`."""

from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.study.figures import draw_depth, draw_methods
from coconut_lab.study.methods_and_depth import DEPTH_METHODS, HOPS
from coconut_lab.study.tables import NAMES, PAPER, Table

__all__ = [
    "DEPTH_METHODS",
    "HOPS",
    "NAMES",
    "PAPER",
    "Table",
    "draw_depth",
    "draw_methods",
    "unseen_problems",
]
