"""The figures show what they were given: labels are underlined, curves are means."""

from __future__ import annotations

import pytest

from coconut_lab import Curriculum, Problem
from coconut_lab.curriculum import IGNORED
from coconut_lab.figures import draw_losses, draw_stages
from coconut_lab.tokenizer import word_tokenizer


def test_exactly_the_labelled_columns_are_underlined() -> None:
    tokenizer = word_tokenizer("a b c d".split())
    problem = Problem("| a b [Q] c d [R] a", ("b", "c"), "c")
    examples = [Curriculum("coconut", 2).encode(problem, tokenizer, k) for k in range(4)]
    (axes,) = draw_stages(examples, tokenizer, ["0", "1", "2", "3"]).axes
    drawn = {(int(line.get_ydata()[0]), int(line.get_xdata()[0])) for line in axes.lines}
    assert drawn == {
        (row, column)
        for row, example in enumerate(examples)
        for column, label in enumerate(example.labels)
        if label != IGNORED
    }
    letters = [text.get_text() for text in axes.texts if text.get_position()[1] < 1]
    assert "".join(letters) == "qqqqqqqqBEssAAA"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3"]


def test_curves_are_means_of_a_window() -> None:
    (axes,) = draw_losses({"one": [4.0, 2.0, 6.0], "two": [1.0, 1.0, 4.0]}, [1], window=2).axes
    one, two, change = axes.lines
    assert one.get_xdata().tolist() == two.get_xdata().tolist() == [2, 3]
    assert one.get_ydata().tolist() == pytest.approx([3.0, 4.0])
    assert two.get_ydata().tolist() == pytest.approx([1.0, 2.5])
    assert change.get_xdata() == [1, 1]
    assert one.get_linestyle() != two.get_linestyle()
