"""What a stage is in words: the text says of every method what training does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coconut_lab.curriculum.in_words import in_short, replaced
from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum

curricula = st.builds(
    Curriculum,
    method=st.sampled_from(sorted(METHODS)),
    max_stage=st.integers(0, 5),
    thoughts_per_step=st.integers(1, 3),
    pad_to_max=st.booleans(),
)


@pytest.mark.parametrize(
    ("settings", "stage", "steps", "said"),
    [
        ({}, 0, 3, "Stage 0 is ordinary chain of thought: .*markers stand side by side"),
        ({}, 1, 3, r"Stage 1 replaces the first step by 1·c = 1 thought\.$"),
        ({"thoughts_per_step": 2}, 2, 3, r"first 2 steps by 2·c = 2·2 = 4 thoughts\.$"),
        ({}, 3, 2, r"3·c = 3 thoughts\. This problem has 2 steps: every one of them goes\.$"),
        ({}, 4, 2, r"after the last one \(3\).* max_stage·c = 3·1 = 3 thoughts stand in"),
        ({"pad_to_max": False}, 4, 2, r"min\(steps, max_stage\)·c = min\(2, 3\)·1 = 2 thoughts"),
        ({"pad_to_max": False}, 4, None, r"min\(steps, max_stage\)·c thoughts stand in"),
        ({"method": "cot"}, 2, 3, "all steps stay in language"),
        ({"method": "no_cot"}, 2, 3, "the answer follows the question at once"),
        ({"method": "pause"}, 0, 3, "3 pause tokens stand behind the question"),
        ({"method": "icot"}, 1, 3, "The first token of the steps is left out"),
        ({"method": "icot"}, 2, 3, "The first 2 tokens of the steps are left out"),
        ({"method": "icot"}, 4, 3, "4 tokens: past the last removal"),
        ({"method": "no_thought"}, 2, 3, "leaves out the first 2 steps; nothing takes their place"),
        ({"method": "no_curriculum"}, 0, 3, "no curriculum, .* 3 thoughts stand in their place"),
        ({"method": "pause_as_thought"}, 1, 3, r"the first step by 1·c = 1 pause token\.$"),
    ],
)
def test_the_rule_in_words(settings, stage, steps, said) -> None:
    curriculum = Curriculum(**{"max_stage": 3} | settings)
    assert re.search(said, replaced(curriculum, stage, steps)), replaced(curriculum, stage, steps)


@given(curricula, st.integers(0, 6), st.integers(0, 5))
def test_the_number_of_thoughts_in_words_is_that_of_training(
    curriculum: Curriculum, stage: int, steps: int
) -> None:
    stage = min(stage, curriculum.max_stage + 1)
    said = replaced(curriculum, stage, steps)
    number = curriculum.thoughts_in_training(steps, stage)
    assert ("  " not in said) and said.endswith(".")
    found = re.search(r"= (\d+) (thought|pause token)", said)
    if found:
        assert int(found[1]) == number
    else:
        assert number == 0
    whole = in_short(curriculum, stage)
    if curriculum.rule.stand_in and curriculum.pad_to_max:
        assert int(re.match(r"\d+", whole)[0]) == curriculum.thoughts_in_training(99, stage)
