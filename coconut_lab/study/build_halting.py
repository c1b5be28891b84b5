"""Building the halts of a checkpoint: train, calibrate, choose thresholds, measure, save."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from coconut_lab.checkpoints.shipped import load
from coconut_lab.files import write_text
from coconut_lab.inference.halting_tradeoff import HaltingTradeoff, OperatingPoint, study_halts
from coconut_lab.inference.halting_training import LABELS, train_halting
from coconut_lab.inference.scoring import compare_paired
from coconut_lab.tasks.prosqa import generate_prosqa


def build_halts(
    folder: Path,
    *,
    hops: tuple[int, int],
    more_hops: tuple[int, int] | None = None,
    max_thoughts: int | None = None,
    count: int = 2000,
    seed: int = 515151,
    within: float = 0.01,
) -> dict[str, Any]:
    """Train, calibrate, evaluate and save the halts of a checkpoint.

    Three sets of problems: one to train on, one to choose thresholds on, one to measure on. The
    halts go to `halt-steps.safetensors` and `halt-answer.safetensors` in the folder, the studies to
    `halt-study.json` and `halt-study-more.json`, the figures to `halts.json`.
    """
    checkpoint = load(folder)
    model, curriculum = checkpoint.model, checkpoint.curriculum
    preset = checkpoint.card["preset"]
    if max_thoughts is None:
        max_thoughts = curriculum.max_stage * curriculum.thoughts_per_step
    training, choosing = (
        generate_prosqa(count, seed + part, preset, hops=hops) for part in range(2)
    )
    halts = {
        labels: train_halting(model, curriculum, training, labels=labels, max_thoughts=max_thoughts)
        for labels in LABELS
    }
    chosen = study_halts(model, curriculum, choosing, halts, max_thoughts)
    thresholds = {signal: chosen.choose(signal, within).threshold for signal in chosen.signals}
    for name, halt in halts.items():
        halts[name] = replace(halt, threshold=thresholds[name])
        halts[name].save(folder / f"halt-{name}.safetensors")

    def measured(hops: tuple[int, int], file: str) -> dict[str, Any]:
        problems = generate_prosqa(count, seed + 2, preset, hops=hops)
        study = study_halts(model, curriculum, problems, halts, max_thoughts)
        study.save(folder / file)
        what = f"{count} {preset} problems of {hops[0]} to {hops[1]} hops, seed {seed + 2}"
        return {"problems": what} | compare_halts(study, thresholds, within)

    figures = measured(hops, "halt-study.json") | {
        "most": max_thoughts,
        "halts": {name: halt.about for name, halt in halts.items()},
    }
    if more_hops is not None:
        figures["more_hops"] = measured(more_hops, "halt-study-more.json")
    write_text(folder / "halts.json", json.dumps(figures, indent=1) + "\n")
    return figures


def compare_halts(
    study: HaltingTradeoff, thresholds: dict[str, float], within: float
) -> dict[str, Any]:
    """Compare rules at thresholds that were chosen on other problems with fixed lengths.

    `enough_fixed` is the shortest that loses no more than `within`; `rules` have their share of
    thoughts saved and the paired test against `best_fixed`.
    """
    best, enough = study.best_fixed(), study.best_fixed(within)
    rules = {}
    for signal, threshold in thresholds.items():
        found = study.at(signal, threshold)
        paired = compare_paired(found.score.outcomes, best.score.outcomes)
        low, high = paired.interval
        saved = 1 - (found.score.thoughts or 0) / (best.score.thoughts or 1)
        rules[signal] = _plain(found) | {
            "saved": round(saved, 4),
            "difference": round(paired.difference, 4),
            "difference_low": round(low, 4),
            "difference_high": round(high, 4),
            "p_value": float(f"{paired.p_value:.3g}"),
        }
    return {
        "fixed": [_plain(study.fixed(thoughts)) for thoughts in range(study.max_thoughts + 1)],
        "best_fixed": best.threshold,
        "enough_fixed": enough.threshold,
        "rules": rules,
    }


def _plain(point: OperatingPoint) -> dict[str, Any]:
    """Turn a point into plain data, rounded."""
    costs = ("thoughts", "tokens", "passes")
    counts = {name: getattr(point, name) for name in ("early", "on_time", "late", "never")}
    by_hops = {str(hops): found.to_dict(*costs) for hops, found in point.by_hops.items()}
    return {
        "threshold": point.threshold, **point.score.to_dict(*costs), **counts, "by_hops": by_hops
    }  # fmt: skip


def summary(figures: dict[str, Any]) -> str:
    """Put the figures of `build_halts` in a few lines."""
    lines = [figures["problems"]]
    rows = [(f"{row['threshold']} thoughts", row) for row in figures["fixed"]]
    rows += [(f"{name} at {row['threshold']:.3g}", row) for name, row in figures["rules"].items()]
    for name, row in rows:
        saved = f", {row['saved']:.0%} fewer thoughts than the best" if "saved" in row else ""
        lines.append(
            f"{name:20} {row['accuracy']:.1%} ({row['low']:.1%} to {row['high']:.1%}), "
            f"{row['thoughts']:.2f} thoughts, {row['passes']:.2f} passes{saved}"
        )
    return "\n".join(lines)
