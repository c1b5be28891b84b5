"""Looking inside thoughts, and changing them.

`thinking.py` lets a model think about many problems; `values.py` reads what it thought as one table
of nodes, `search_tree.py` what it would say next, `geometry.py` where the vectors lie,
`attention.py` which facts they look at. What is read proves little by itself: `interventions.py`
changes a thought, `staircase.py` the facts behind it, and they see who wins. `steering.py` writes a
train of thought in words, or searches for a direction.
"""

from coconut_lab.interpretability.attention import fact_attention
from coconut_lab.interpretability.geometry import geometry
from coconut_lab.interpretability.interventions import (
    change,
    compare_edits,
    donors,
    name_basis,
    outcomes,
    put,
    random_basis,
    rename_thoughts,
    set_words,
    split,
    write_words,
)
from coconut_lab.interpretability.search_tree import best_ends, interpolate, search_tree
from coconut_lab.interpretability.staircase import staircase, twin_columns
from coconut_lab.interpretability.steering import (
    FLOWS,
    Search,
    as_far,
    controls,
    flow,
    flow_done,
    random_like,
    search_direction,
    steer,
    temper,
)
from coconut_lab.interpretability.thinking import think, untrained
from coconut_lab.interpretability.values import (
    CONTROLS,
    by_group,
    by_height,
    evenness,
    frontier_mass,
    masses,
    node_values,
    parallelism,
)

__all__ = [
    "CONTROLS",
    "FLOWS",
    "Search",
    "as_far",
    "best_ends",
    "by_group",
    "by_height",
    "change",
    "compare_edits",
    "controls",
    "donors",
    "evenness",
    "fact_attention",
    "flow",
    "flow_done",
    "frontier_mass",
    "geometry",
    "interpolate",
    "masses",
    "name_basis",
    "node_values",
    "outcomes",
    "parallelism",
    "put",
    "random_basis",
    "random_like",
    "rename_thoughts",
    "search_direction",
    "search_tree",
    "set_words",
    "split",
    "staircase",
    "steer",
    "temper",
    "think",
    "twin_columns",
    "untrained",
    "write_words",
]
