"""The figures show what they were given: labels are underlined, curves are means."""

import numpy as np
import pytest

from coconut_lab import Curriculum, HaltingTradeoff, Problem
from coconut_lab.curriculum.stages_and_masks import IGNORED
from coconut_lab.curriculum.tokenizer import word_tokenizer
from coconut_lab.figures import draw_halting, draw_losses, draw_stages


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
    assert "".join(letters) == "QQQQQQQQBESSAAA"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "1", "2", "3"]


def test_curves_are_means_of_a_window() -> None:
    (axes,) = draw_losses({"one": [4.0, 2.0, 6.0], "two": [1.0, 1.0, 4.0]}, [1], window=2).axes
    one, two, change = axes.lines
    assert one.get_xdata().tolist() == two.get_xdata().tolist() == [2, 3]
    assert one.get_ydata().tolist() == pytest.approx([3.0, 4.0])
    assert two.get_ydata().tolist() == pytest.approx([1.0, 2.5])
    assert change.get_xdata() == [1, 1]
    assert one.get_linestyle() != two.get_linestyle()


def test_halting_is_drawn_as_the_study_says() -> None:
    draw = np.random.default_rng(0)
    shape = (40, 4)
    study = HaltingTradeoff(
        np.ones(40, dtype=int), draw.random(shape) < 0.6, np.ones(shape, dtype=int),
        np.ones(shape, dtype=int), {"steps": draw.random(shape), "entropy": draw.random(shape)},
    )  # fmt: skip
    names = {"steps": "learned", "entropy": "confident"}
    (axes,) = draw_halting(study, names, count=5).axes
    lines = {line.get_label(): line for line in axes.lines}
    fixed = next(c for c in axes.containers if c.get_label() == "fixed number")
    assert fixed.lines[0].get_xdata().tolist() == [0, 1, 2, 3]
    right = study.right.mean(0)
    assert fixed.lines[0].get_ydata().tolist() == pytest.approx(right.tolist())
    low, high = fixed.lines[1][0].get_ydata()[0], fixed.lines[1][1].get_ydata()[0]
    assert [low, high] == pytest.approx(list(study.fixed(0).score.interval))
    for signal, name in names.items():
        points = {(p.score.thoughts, p.score.accuracy)
                  for p in study.curve(signal, study.thresholds(signal, 5))}  # fmt: skip
        drawn = set(zip(*(axis.tolist() for axis in lines[name].get_data()), strict=True))
        assert drawn == points
    assert lines["learned"].get_linestyle() != lines["confident"].get_linestyle()
