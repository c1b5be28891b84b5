"""Train a model by a recipe: `python -m coconut_lab.training recipe.yaml`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from coconut_lab.training.data import validation_problems
from coconut_lab.training.distributed import end_process
from coconut_lab.training.estimate import find_gpu
from coconut_lab.training.recipe import RecipeError, load_recipe
from coconut_lab.training.run_folder import TrainingError
from coconut_lab.training.trainer import Trainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; errors are one line and status 2, Ctrl-C is status 130."""
    parser = argparse.ArgumentParser(prog="python -m coconut_lab.training", description=__doc__)
    parser.add_argument("recipe", help="a YAML file, or the name of a recipe of this package")
    parser.add_argument("--output", help="folder for log and checkpoints (default runs/NAME)")
    parser.add_argument("--seed", type=int, help="replaces the recipe's seed")
    parser.add_argument("--tensorboard", action="store_true", help="also write for TensorBoard")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the schedule and what it needs, train nothing"
    )
    parser.add_argument("--gpu", help="with --dry-run: what to size it for, such as A100-40")
    chosen = parser.parse_args(arguments)
    if chosen.gpu and not chosen.dry_run:
        parser.error("--gpu goes with --dry-run; training takes the GPU that is there")
    try:
        gpu = find_gpu(chosen.gpu) if chosen.gpu else None
        changes = {} if chosen.seed is None else {"seed": chosen.seed}
        recipe = load_recipe(chosen.recipe, **changes)
        folder = Path(chosen.output or Path("runs") / recipe.name)
        validation = validation_problems(recipe)
        trainer = Trainer(recipe, folder, validation=validation, tensorboard=chosen.tensorboard)
        main_process = trainer.accelerator.is_main_process
        if main_process:
            print(trainer.describe(), flush=True)
        if chosen.dry_run:
            if main_process:
                print(trainer.dry_run(gpu))
            return 0
        trainer.train()
        trainer.save(folder / "model")
        if main_process:
            steps = trainer.recipe.total_steps
            print(f"{recipe.name}: {steps} steps done; the model is in {folder / 'model'}")
    except (RecipeError, TrainingError, OSError, ValueError) as error:
        print(f"coconut_lab.training: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"coconut_lab.training: {str(stopped) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    end_process(main)
