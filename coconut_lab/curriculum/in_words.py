"""The published rules in words: what a stage replaces, keeps and counts in the loss."""

from __future__ import annotations

from coconut_lab.curriculum.stages_and_masks import Curriculum

STAND_INS = {"thoughts": "thought", "pauses": "pause token"}


def count(number: int, thing: str) -> str:
    """Write a number with its thing: `1 step`, `2 steps`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def removed(curriculum: Curriculum, stage: int) -> str:
    """Name what a stage takes out of the language steps, for a table: `first 2 steps`."""
    removes = curriculum.rule.removes
    if removes == "nothing":
        return "nothing"
    if removes == "all" or curriculum.rule.last_stage_only or stage > curriculum.max_stage:
        return "all steps"
    if stage == 0:
        return "nothing"
    unit = "token" if removes == "tokens" else "step"
    return f"first {unit}" if stage == 1 else f"first {stage} {unit}s"


def replaced(curriculum: Curriculum, stage: int, steps: int | None = None) -> str:
    """Say what a stage of training replaces, in one or two sentences."""
    rule, last = curriculum.rule, curriculum.max_stage
    if rule.removes == "nothing":
        return f"Stage {stage} is like every stage: all steps stay in language."
    if rule.removes == "all":
        said = f"Stage {stage} is like every stage: all steps are left out"
        if rule.stand_in is None:
            return f"{said}, and the answer follows the question at once."
        return f"{said}, and {_stand_in(curriculum, stage, steps)} behind the question."
    if rule.last_stage_only:
        return (
            f"Stage {stage} is like every stage: no curriculum, all steps are left out from the "
            f"start, and {_stand_in(curriculum, stage, steps)} in their place."
        )
    if stage > last and rule.removes == "tokens":
        return (
            f"{count(stage, 'token')}: past the last removal ({last}), so all steps are left out; "
            "only the answer is left."
        )
    if stage > last:
        said = f"Stage {stage} comes after the last one ({last}): all steps are left out"
        if rule.stand_in is None:
            return f"{said}; only the answer is left."
        return f"{said}, and {_stand_in(curriculum, stage, steps)} in their place."
    if stage == 0:
        said = "Stage 0 is ordinary chain of thought: all steps stay in language"
        return f"{said}; the two markers stand side by side." if rule.markers else f"{said}."
    first = f"the {removed(curriculum, stage)}"
    are, their = ("is", "its") if stage == 1 else ("are", "their")
    if rule.removes == "tokens":
        return f"{first.capitalize()} of the steps {are} left out; nothing takes {their} place."
    if rule.stand_in is None:
        said = f"Stage {stage} leaves out {first}; nothing takes {their} place."
    else:
        c, per = curriculum.thoughts_per_step, STAND_INS[rule.stand_in]
        sum_ = f"{stage}·c = {stage}·{c} = " if c > 1 else f"{stage}·c = "
        said = f"Stage {stage} replaces {first} by {sum_}{count(stage * c, per)}."
    if steps is not None and steps < stage:
        said += f" This problem has {count(steps, 'step')}: every one of them goes."
    return said


def in_short(curriculum: Curriculum, stage: int) -> str:
    """Say what a stage of training puts in and keeps, in a few words, for a table."""
    rule, last, c = curriculum.rule, curriculum.max_stage, curriculum.thoughts_per_step
    if rule.removes == "nothing" or (stage == 0 and not rule.last_stage_only):
        kept = "answer only" if rule.removes == "all" else "all steps"
    elif stage > last or rule.last_stage_only or rule.removes == "all":
        kept = "answer only"
    elif rule.removes == "tokens":
        kept = f"without the first {count(stage, 'token')}"
    else:
        kept = f"step {stage + 1} on"
    if rule.stand_in is None:
        return kept
    most = curriculum.thoughts_in_training(last, stage)
    fewer = not curriculum.pad_to_max and kept == "answer only" and last * c > 0
    said = count(most, STAND_INS[rule.stand_in])
    return f"{'up to ' if fewer else ''}{said}, {kept}"


def _stand_in(curriculum: Curriculum, stage: int, steps: int | None) -> str:
    """Say how many thoughts or pauses stand there once all steps are gone, and why so many."""
    last, c = curriculum.max_stage, curriculum.thoughts_per_step
    thing = STAND_INS[curriculum.rule.stand_in or "thoughts"]
    if curriculum.pad_to_max:
        number = curriculum.thoughts_in_training(last, stage)
        why = f"max_stage·c = {last}·{c}"
    elif steps is None:
        return f"min(steps, max_stage)·c {thing}s stand"
    else:
        number = curriculum.thoughts_in_training(steps, stage)
        why = f"min(steps, max_stage)·c = min({steps}, {last})·{c}"
    return f"{why} = {count(number, thing)} {'stands' if number == 1 else 'stand'}"
