"""Training by recipe: `Trainer(load_recipe("tiny-coconut"), folder).train()`, or from a terminal.

A recipe (`recipe.py`) becomes problems and batches (`data.py`, `walks.py`), steps (`schedule.py`)
and a first model (`start.py`); the loop over them is `trainer.py`, which scores now and then
(`validation.py`). What it leaves on disk is in `run_folder.py`, several processes in
`distributed.py`, the command in `__main__.py`. What a run will need is estimated (`estimate.py`)
from what a model costs (`costs.py`).
"""

from coconut_lab.training.data import (
    Batches,
    count_problems,
    training_problems,
    validation_problems,
)
from coconut_lab.training.estimate import estimate_run, find_gpu
from coconut_lab.training.recipe import Phase, Recipe, RecipeError, load_recipe
from coconut_lab.training.run_folder import LOG_FILE
from coconut_lab.training.schedule import schedule
from coconut_lab.training.trainer import Trainer
from coconut_lab.training.walks import encode_walks

__all__ = [
    "LOG_FILE",
    "Batches",
    "Phase",
    "Recipe",
    "RecipeError",
    "Trainer",
    "count_problems",
    "encode_walks",
    "estimate_run",
    "find_gpu",
    "load_recipe",
    "schedule",
    "training_problems",
    "validation_problems",
]
