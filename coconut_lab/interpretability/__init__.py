"""Looking inside thoughts: `probing.py` reads each one through the language-model head.

`probe` reads problems one by one, for the explorers; `frontier_mass` averages over many.
"""

from coconut_lab.interpretability.probing import Reading, frontier_mass

__all__ = [
    "Reading",
    "frontier_mass",
]
