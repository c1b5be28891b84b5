"""The method: `coconut.py` feeds thoughts back; everything else here serves it."""

from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import CoconutOutput, ModelError

__all__ = [
    "Coconut",
    "CoconutOutput",
    "ModelError",
]
