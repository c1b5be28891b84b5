"""The course's own results, all by one command: `python -m coconut_lab.study`.

`build_checkpoints.py` and `build_halting.py` make what `checkpoints/` holds, `methods_and_depth.py`
measures what `results/` holds, `leaderboard.py` ranks it, `ladder.py` takes it to larger problems;
`tables.py` and `figures.py` show it.
"""

from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.study.figures import draw_depth, draw_leaderboard, draw_methods
from coconut_lab.study.ladder import ladder_table
from coconut_lab.study.leaderboard import leaderboard_row, leaderboard_table
from coconut_lab.study.methods_and_depth import DEPTH_METHODS, HOPS
from coconut_lab.study.tables import NAMES, PAPER, reproduction_table
from coconut_lab.tables import Table

__all__ = [
    "DEPTH_METHODS",
    "HOPS",
    "NAMES",
    "PAPER",
    "Table",
    "draw_depth",
    "draw_leaderboard",
    "draw_methods",
    "ladder_table",
    "leaderboard_row",
    "leaderboard_table",
    "reproduction_table",
    "unseen_problems",
]
