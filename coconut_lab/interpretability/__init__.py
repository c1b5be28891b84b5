"""Reading thoughts."""

from coconut_lab.interpretability.probing import Reading, frontier_mass

__all__ = [
    "Reading",
    "frontier_mass",
]
