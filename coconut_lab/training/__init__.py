"""Recipe, schedule, data, trainer and run folder; `python -m coconut_lab.training`."""

from coconut_lab.training.data import Batches, encode_walks
from coconut_lab.training.estimate import estimate_run
from coconut_lab.training.gpus import find_gpu
from coconut_lab.training.material import validation_problems
from coconut_lab.training.recipe import Phase, Recipe, RecipeError, load_recipe
from coconut_lab.training.run_folder import LOG_FILE
from coconut_lab.training.schedule import moments
from coconut_lab.training.trainer import Trainer

__all__ = [
    "LOG_FILE",
    "Batches",
    "Phase",
    "Recipe",
    "RecipeError",
    "Trainer",
    "encode_walks",
    "estimate_run",
    "find_gpu",
    "load_recipe",
    "moments",
    "validation_problems",
]
