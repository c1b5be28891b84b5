"""Models ready to use: those shipped with the course, and any from the hub."""

from coconut_lab.checkpoints.pretrained import Lora, check_positions, from_hub, merge_lora
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
