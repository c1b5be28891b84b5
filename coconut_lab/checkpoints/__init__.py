"""Models ready to use.

`shipped.py` loads those that are in this folder, and saves others like them; `pretrained.py` makes
any decoder-only model of the hub ready to think, and `lora.py` says which of its weights learn.
"""

from coconut_lab.checkpoints.lora import Lora, merge_lora
from coconut_lab.checkpoints.pretrained import check_positions, from_hub
from coconut_lab.checkpoints.shipped import FOLDER, Checkpoint, load

__all__ = [
    "FOLDER",
    "Checkpoint",
    "Lora",
    "check_positions",
    "from_hub",
    "load",
    "merge_lora",
]
