"""Files: every format is read as it is meant, and round trips are exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from example_problem import EDGES, ENGLISH, NAMES, english
from hypothesis import given, settings
from hypothesis import strategies as st
from published import GSM8K, PRONTOQA, PROSQA, needs_published

from coconut_lab.curriculum.stages_and_masks import tokenize
from coconut_lab.curriculum.tokenizer import word_tokenizer
from coconut_lab.tasks.gsm8k import write_gsm8k
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem, ProblemError, verify
from coconut_lab.tasks.prontoqa import generate_prontoqa, write_prontoqa
from coconut_lab.tasks.prosqa import PRESETS

ROW = {
    "question": ENGLISH,
    "answer": "Tom is a lempus.",
    "steps": list(english().steps),
    "idx_to_symbol": list(NAMES),
    "edges": [list(edge) for edge in EDGES],
    "root": 0,
    "target": 4,
    "neg_target": 5,
}
PLAIN = {"question": "What is 1 + 1?", "answer": "2", "steps": ["<<1+1=2>>"]}
EXAMPLE = {
    "question": "Each vumpus is wooden. Max is a vumpus.",
    "query": "True or false: Max is wooden.",
    "chain_of_thought": ["Max is a vumpus.", "Each vumpus is wooden.", "Max is wooden."],
    "answer": "True",
}
LINE = "Sam has 4 pens.||<<4-2=2>> <<2/.5=4>> #### 4"


def test_json_round_trip_is_exact(file: Path) -> None:
    text = json.dumps([ROW, PLAIN])
    file.write_text(text)
    problems = load_problems(file)
    assert problems == [english(), Problem("What is 1 + 1?", ("<<1+1=2>>",), "2")]
    write_json(problems, file)
    assert file.read_text() == text  # key order too
    assert list(file.parent.iterdir()) == [file]


@needs_published
def test_published_prosqa(file: Path) -> None:
    problems = load_problems(PROSQA)
    assert len(problems) == 300
    for number, one in enumerate(problems):
        verify(one)
        assert one.graph is not None
        assert one.graph.hops == len(one.steps), number
        assert one.in_symbols().in_english() == one, number
        verify(one.in_symbols())
    # In symbols they are problems for a model of the preset "paper".
    preset = PRESETS["paper"]
    known = word_tokenizer([*preset.entities, *preset.concepts])
    rows = tokenize([one.in_symbols() for one in problems], known)
    assert max(len(row.question) for row in rows) == 164
    assert load_problems(str(PROSQA), limit=7) == problems[:7]
    write_json(problems, file)
    assert file.read_bytes() == PROSQA.read_bytes()


@needs_published
def test_published_prontoqa_and_gsm8k(file: Path) -> None:
    problems = load_problems(PRONTOQA)
    assert (len(problems), load_problems(PRONTOQA, limit=7)) == (200, problems[:7])
    write_prontoqa(problems, file)
    assert json.loads(file.read_text()) == json.loads(PRONTOQA.read_text())
    problems = load_problems(GSM8K)
    assert (len(problems), load_problems(GSM8K, limit=7)) == (500, problems[:7])
    lines = GSM8K.read_text(encoding="utf-8").splitlines()
    for one, line in zip(problems, lines, strict=True):
        assert " ".join([f"{one.question}||{' '.join(one.steps)}", "####", one.answer]) == line
    write_gsm8k(problems, file)
    assert file.read_bytes().strip() == GSM8K.read_bytes().strip()


def test_an_example_is_read_as_coconut_does(file: Path) -> None:
    file.write_text(json.dumps({"example1": {"test_example": EXAMPLE}}))
    (one,) = load_problems(file)
    assert one.question == "Each vumpus is wooden. Max is a vumpus. True or false: Max is wooden."
    assert one.steps == ("Max is a vumpus. Each vumpus is wooden.", "Max is wooden.")
    assert (one.answer, one.graph) == ("True", None)
    write_prontoqa([one], file)
    assert json.loads(file.read_text()) == {"example1": {"test_example": EXAMPLE}}


@pytest.mark.parametrize(
    ("content", "steps", "answer"),
    [
        (LINE, ("<<4-2=2>>", "<<2/.5=4>>"), "4"),
        (f"\ufeff{LINE}\r\n", ("<<4-2=2>>", "<<2/.5=4>>"), "4"),
        ("Sam has 4 pens.|| #### 1,000\n\n", (), "1,000"),
        ("Sam has 4 pens.||<<4 - 2 = 2>><<1=1>>####  4", ("<<4 - 2 = 2>>", "<<1=1>>"), "4"),
    ],
)
def test_lines_are_read(file: Path, content: str, steps: tuple[str], answer: str) -> None:
    file.write_bytes(content.encode())
    assert load_problems(file) == [Problem("Sam has 4 pens.", steps, answer)]


TWO = [Problem("Two and two?", ("<<2+2=4>>",), "4"), Problem("Three?", (), "3")]
SUMS = [{"question": one.question, "steps": [*one.steps], "answer": one.answer} for one in TWO]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(SUMS, indent=1),
        "\ufeff" + "\n".join(map(json.dumps, SUMS)),
        "\r\n\n".join(json.dumps(row, indent=1) for row in SUMS),
        json.dumps({"version": "1.0", "data": SUMS}),
        json.dumps({"first": SUMS[0], "second": SUMS[1]}),
        json.dumps([{"question": "Two and two?", "answer": "2+2 is <<2+2=4>>4.\n#### 4"},
                    {"question": "Three?", "answer": 3.0}]),
        # MultiArith, SVAMP and GSM-Hard name their columns otherwise.
        json.dumps([SUMS[0], {"question": "Three?", "final_ans": "3"}]),
        json.dumps([SUMS[0], {"ID": "1", "question_concat": "Three?", "Answer": "3"}]),
        json.dumps([SUMS[0], {"input": "Three?", "code": "3", "target": 3.0}]),
        "Two and two?||<<2+2=4>> #### 4\r\nThree?|| #### 3",
    ],
)  # fmt: skip
def test_every_form_of_a_file_is_read(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    assert load_problems(file) == TWO
    assert load_problems(file, limit=1) == TWO[:1]
    file.write_text(json.dumps(SUMS[1]))
    assert load_problems(file) == TWO[1:]  # a single object


def test_a_large_number_is_written_out(file: Path) -> None:
    file.write_text(json.dumps({"input": "How many?", "target": 6.2e20}))
    assert load_problems(file)[0].answer == "620000000000000000000"


ODD = st.text(
    st.sampled_from('a1.|# <>="\\[]{},:\0\r\n\t\v\x1c\x85\u2028\ufeff\ud800é'), max_size=4
)
SOUND = st.sampled_from(["Sam has 4.", "<<1+1=2>>", "2", "True", "Max is shy.", ""])
TEXTS = st.builds("{}{}{}".format, SOUND, ODD | st.just(""), SOUND)


@given(
    st.lists(st.builds(Problem, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), TEXTS), max_size=2)
)
@settings(max_examples=500)
@pytest.mark.parametrize("write", [write_json, write_gsm8k, write_prontoqa])
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[..., None], problems: list[Problem]
) -> None:
    """Whatever the texts: a writer refuses, or the file gives the same problems."""
    file = tmp_path_factory.getbasetemp() / "written"
    if write is write_prontoqa:
        asks = "Max is {}. True or false: Max is shy."
        problems = [replace(p, question=asks.format(p.answer), answer="True") for p in problems]
    with suppress(ProblemError):
        write(problems, file)
        assert load_problems(file) == problems


def test_failed_writes_leave_the_old_file(file: Path) -> None:
    file.write_text("old")
    good = Problem("Sam has 4 pens.", ("<<4-2=2>>",), "2")
    for write, bad, error, message in (
        (write_json, None, ProblemError, r"problems\[1\] is None; give a Problem"),
        (write_prontoqa, good, ProblemError, "problem 1: does not ask 'True or false:'"),
        (
            write_gsm8k,
            Problem("Sam\nhas 4.", (), "2"),
            ProblemError,
            "problem 1: a line end inside",
        ),
        (write_gsm8k, Problem("Sam||has 4.", (), "2"), ProblemError, "problem 1: "),
        (write_gsm8k, Problem("Sam", ("Tom is.",), "2"), ProblemError, "1: .*no equation"),
        (write_gsm8k, Problem("Sam ", (), "2"), ProblemError, "1: this format cannot hold it"),
        (write_gsm8k, Problem("Sam", (), ""), ProblemError, "problem 1: the answer is empty"),
    ):
        first = generate_prontoqa(1, 0)[0] if write is write_prontoqa else good
        with pytest.raises(error, match=message):
            write([first, bad], file)  # type: ignore[operator]
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
    with pytest.raises(OSError, match="nowhere"):
        write_json([english()], file.parent / "nowhere" / "x.json")
