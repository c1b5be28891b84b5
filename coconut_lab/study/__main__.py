"""Build the shipped models and halting rules, measure the studies, print their tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from coconut_lab.checkpoints.shipped import FOLDER
from coconut_lab.curriculum.stages_and_masks import METHODS
from coconut_lab.study import ladder
from coconut_lab.study.build_checkpoints import build
from coconut_lab.study.build_halting import build_halts, summary
from coconut_lab.study.leaderboard import ROWS, study_leaderboard
from coconut_lab.study.methods_and_depth import study_depth, study_methods
from coconut_lab.study.steering import study_steering
from coconut_lab.study.tables import print_tables
from coconut_lab.study.thoughts import SEEDS, study_thoughts


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m coconut_lab.study checkpoints|halting|methods|depth|… …`."""
    parser = argparse.ArgumentParser(prog="python -m coconut_lab.study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("checkpoints", help="train shipped models anew and write their cards")
    one.add_argument("names", nargs="+", help="recipes of this package, in order")
    _add_runs(one)

    one = commands.add_parser("halting", help="train, measure and save the halts of a checkpoint")
    one.add_argument("checkpoint", help="a shipped model or the folder of one; halts go into it")
    one.add_argument("--hops", type=int, nargs=2, default=(1, 3), metavar=("LOW", "HIGH"))
    one.add_argument("--more-hops", type=int, nargs=2, metavar=("LOW", "HIGH"))
    one.add_argument("--max-thoughts", type=int, help="the largest number of thoughts")
    one.add_argument("--count", type=int, default=2000, help="problems per set")

    for name, what in (("methods", "every method"), ("depth", "depth against hops")):
        one = commands.add_parser(name, help=f"measure {what}, in hours")
        _add_runs(one)
        one.add_argument("--seeds", type=int, nargs="+", default=[0, 6, 7])
        one.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    one.add_argument("--layers", type=int, nargs="+", default=[1, 2, 3, 4])

    one = commands.add_parser("thoughts", help="measure whether thoughts are used, over seeds")
    _add_runs(one)
    one.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))

    one = commands.add_parser("leaderboard", help="measure which methods use their thoughts")
    _add_runs(one)
    one.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    one.add_argument("--recipes", nargs="*", default=list(ROWS), choices=list(ROWS))
    one.add_argument("--add", nargs="+", default=[], help="recipes of your own, as YAML files")

    one = commands.add_parser("ladder", help="measure which width solves which size")
    _add_runs(one)
    one.add_argument("--recipes", nargs="+", default=list(ladder.ROWS), choices=list(ladder.ROWS))
    one.add_argument("--widths", type=int, nargs="+", default=[], help="instead of the usual ones")
    one.add_argument(
        "--published",
        help="a file of ProsQA as published, or prosqa to fetch it; for rows not yet measured",
    )

    commands.add_parser("steering", help="search for directions, think in parallel rounds")
    commands.add_parser("tables", help="print the tables of what was measured")

    chosen = parser.parse_args(arguments)
    if chosen.command == "checkpoints":
        for name in chosen.names:
            card = build(name, runs=chosen.runs)
            print(json.dumps({key: card.get(key) for key in ("name", "accuracy", "frontier_mass")}))
    elif chosen.command == "halting":
        folder = Path(chosen.checkpoint)
        figures = build_halts(
            folder if folder.is_dir() else FOLDER / chosen.checkpoint,
            hops=tuple(chosen.hops),
            more_hops=tuple(chosen.more_hops) if chosen.more_hops else None,
            max_thoughts=chosen.max_thoughts,
            count=chosen.count,
        )
        print(summary(figures))
    elif chosen.command == "methods":
        study_methods(chosen.methods, chosen.seeds, chosen.runs)
    elif chosen.command == "depth":
        study_depth(chosen.methods, chosen.layers, chosen.seeds, chosen.runs)
    elif chosen.command == "thoughts":
        study_thoughts(chosen.seeds, chosen.runs)
    elif chosen.command == "leaderboard":
        print(study_leaderboard(chosen.recipes, chosen.seeds, chosen.runs, chosen.add))
    elif chosen.command == "ladder":
        print(ladder.study_ladder(chosen.recipes, chosen.widths, chosen.runs, chosen.published))
    elif chosen.command == "steering":
        study_steering(Path("runs"))
    else:
        print_tables()
    return 0


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of training runs")


if __name__ == "__main__":
    sys.exit(main())
