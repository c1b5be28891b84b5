"""What any check says of any function that does not do its work, and of odd results."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from coconut_lab import checks

NAMES = sorted(name for name in checks.__all__ if name != "CheckFailed")


def failure(name: str, function: Any) -> checks.CheckFailed:
    with pytest.raises(checks.CheckFailed) as caught:
        getattr(checks, name)(function)
    return caught.value


@pytest.mark.parametrize("name", NAMES)
def test_unwritten_functions_are_called_so(name: str) -> None:
    def stub(*arguments):
        raise NotImplementedError

    assert str(failure(name, stub)) == f"{name} is not written yet: fill in the stub."
    assert "not written yet: it returns None" in str(failure(name, lambda *arguments: None))
    assert "needs the function itself" in str(failure(name, None))


@pytest.mark.parametrize("name", NAMES)
def test_exceptions_are_named_with_their_line_and_kept(name: str) -> None:
    def crashes(*arguments):
        return {}["missing"]

    error = failure(name, crashes)
    assert f"{name} raised KeyError: 'missing'" in str(error)
    assert 'return {}["missing"]' in str(error)
    assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_number_of_arguments_is_reported(name: str) -> None:
    assert f"{name} raised TypeError" in str(failure(name, lambda: None))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("result", [3, "text", [], {}, torch.zeros(2, 2)], ids=repr)
def test_wrong_types_are_reported(name: str, result: Any) -> None:
    message = str(failure(name, lambda *arguments: result))
    assert message.startswith(name)
    assert "should" in message or "has no" in message


@pytest.mark.parametrize(
    ("name", "result", "says"),
    [
        ("soft_word", (torch.zeros(16), torch.zeros(1, 16)), "it should be (1, 16) = (1, d)"),
        (
            "think_without_cache",
            (torch.zeros(1, 15, 16), [torch.zeros(16)] * 3),
            "thoughts is wrong at entry 0: it has shape (16,), it should be (1, 16)",
        ),
        ("early_answers", torch.zeros(3, 30), "it should be (4, 30) = (n + 1, V)"),
        ("slope_at_thought", torch.zeros(1, 16), "should be a number, not a tensor"),
        ("align", {"input_ids": torch.zeros(3, 4).long()}, "has no 'attention_mask'"),
        ("align", {"input_ids": torch.zeros(3, 4)}, "input_ids should be a tensor of int64"),
        (
            "align",
            dict.fromkeys(("input_ids", "attention_mask", "position_ids"), torch.arange(4)),
            "entry 0 of input_ids should be a list",
        ),
        ("encode_stage", [1.5], "should return a list of token ids, not list with other things"),
        ("encode_stage", [7] * 3, "has 3 entries, it should have 21, and is wrong at entry 0"),
        ("make_labels", torch.zeros(1, 4).long(), "it should be (3, "),
        ("count_thoughts", (7, 7), "with steps=1, stage=0, max_stage=3, c=1, pad_to_max=True"),
        ("wilson", 0.5, "should return (low, high)"),
        ("wilson", (0.9, 0.99), "low is 0.9, it should be 0.934"),
        ("accumulate", 0.0, "Each part should call .backward()"),
        ("train_part", {}, "even without a stop the weights differ: they should move"),
        ("plan", [(0, True)], "the plan has 1 entries, it should have 18"),
        ("reach", torch.zeros(4, 3), "one row for each thought, one column for each label"),
    ],
)  # fmt: skip
def test_wrong_shapes_are_reported_with_the_right_ones(name: str, result: Any, says: str) -> None:
    assert says in str(failure(name, lambda *arguments: result))


def test_an_unknown_mistake_is_located() -> None:
    def third_is_off(language_model, input_ids, thought_id):
        hidden, thoughts = checks.think_without_cache.right(language_model, input_ids, thought_id)
        return hidden, [*thoughts[:2], *(thought + 0.5 for thought in thoughts[2:])]

    message = str(failure("think_without_cache", third_is_off))
    assert "thoughts is wrong at entry 2: it is off by up to 0.5 with" in message


def test_a_notebook_shows_the_message_alone() -> None:
    error = failure("soft_word", lambda *arguments: None)
    assert error._render_traceback_() == [f"CheckFailed: {error}"]  # IPython asks for this


@pytest.mark.parametrize("name", NAMES)
def test_checks_leave_the_random_numbers_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    getattr(checks, name)(getattr(checks, name).right)
    assert torch.equal(before, torch.random.get_rng_state())
