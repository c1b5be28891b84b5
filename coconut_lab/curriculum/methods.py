"""The table of methods: what each removes at a stage, and what takes its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One row of the table of methods.

    Attributes:
        name: how recipes and cards call it.
        removes: what goes at stage k: `"steps"` (the first k), `"tokens"` (the first k tokens of
            the steps), `"all"` (everything at once), `"nothing"`.
        stand_in: what takes the place of removed steps: `"thoughts"`, `"pauses"`, or None.
        markers: whether `<bot>` and `<eot>` are there, at every stage.
        in_words: one sentence for learners.
        last_stage_only: whether every stage is trained as if it came after the last one.
    """

    name: str
    removes: str
    stand_in: str | None
    markers: bool
    in_words: str
    last_stage_only: bool = False


#: Baselines and ablations of section 4 of the paper. The published code drops the markers for CoT,
#: No-CoT and "without thought"; a pause as a thought keeps them, so that only the feedback differs.
METHODS = {
    name: Method(name, *rest)
    for name, *rest in (
        ("coconut", "steps", "thoughts", True,
         "stage k replaces the first k steps by k·c thoughts"),
        ("cot", "nothing", None, False, "all steps stay in language"),
        ("no_cot", "all", None, False, "the answer follows the question at once"),
        ("icot", "tokens", None, False, "stage k drops the first k tokens of the steps"),
        ("pause", "all", "pauses", False, "pause tokens stand between question and answer"),
        ("no_curriculum", "steps", "thoughts", True,
         "Coconut's last stage from the start: all thoughts, no steps", True),
        ("no_thought", "steps", None, False, "stage k drops the first k steps"),
        ("pause_as_thought", "steps", "pauses", True,
         "stage k replaces the first k steps by k·c pause tokens"),
    )
}  # fmt: skip
