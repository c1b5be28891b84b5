"""What the checks compare with: two references that agree, slips that are blamed, texts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from planted_mistakes import PLANTED

from coconut_lab import checks
from coconut_lab.checks.blame import Slip, blame
from coconut_lab.checks.nb03_curriculum import SUMS, sum_tokenizer


def test_a_slip_that_explains_every_case_is_blamed_before_one_that_explains_the_first() -> None:
    cases = [(1,), (2,)]
    slips = [Slip("the first only", lambda x: 5), Slip("all of them", lambda x: 5 * x)]

    def describe(case, got, want):
        return f"{case} gives {got}, it should be {want}."

    with pytest.raises(checks.CheckFailed, match="all of them"):
        blame("f", cases, [5, 10], lambda x: x, slips, describe)
    with pytest.raises(checks.CheckFailed, match="the first only"):
        blame("f", cases, [5, 7], lambda x: x, slips, describe)
    with pytest.raises(checks.CheckFailed, match=r"f: \(2,\) gives 7, it should be 2"):
        blame("f", cases, [1, 7], lambda x: x, slips, describe)
    blame("f", cases, [1, 2], lambda x: x, slips, describe)


def test_tokens_of_the_sums_reach_over_line_breaks() -> None:
    """Without that, tokenizing everything in one go could not be told from the right way."""
    tokenizer, problem = sum_tokenizer(), SUMS[0]
    apart = [tokenizer(s + "\n", add_special_tokens=False).input_ids for s in problem.steps]
    whole = tokenizer("\n".join(problem.steps) + "\n", add_special_tokens=False).input_ids
    assert [token for step in apart for token in step] != whole
    assert tokenizer("a").input_ids[0] == tokenizer.bos_token_id


def test_every_planted_mistake_is_a_function_of_its_own() -> None:
    assert len({planted.wrong.__name__ for planted in PLANTED}) == len(PLANTED)


def test_nothing_of_the_tests_is_needed_by_the_checks() -> None:
    for path in Path(checks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(("tests", "oracle", "shapes", "planted"))
