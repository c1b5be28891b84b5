"""Choosing a problem in the thought stepper: the list, new ones, one's own, bad input."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from explorer_models import spelling_checkpoint
from stepped import CHECKPOINT, SVG, C, E, graph_svg, parsed, probabilities, texts

from coconut_lab.checkpoints.shipped import CheckpointError
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.explorers import ThoughtStepper
from coconut_lab.explorers.stepper.drawing import render
from coconut_lab.explorers.stepper.widget import LIST, MOST_NODES, NEW, OWN
from coconut_lab.interpretability.probing import probe
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.tasks.problems import Problem, ProblemError, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa

# --- choosing a problem -------------------------------------------------------------------------


def test_problems_of_the_list(stepper) -> None:
    assert stepper.problems == unseen_problems("tiny", 100)
    stepper.index.value = 7
    assert stepper.state.reading.problem == stepper.problems[7]
    assert "problem 7 of 100" in stepper.picture.value
    assert stepper.source.value == LIST


def test_the_sliders_keep_their_place_when_the_problem_changes(stepper) -> None:
    stepper.thought.value, stepper.budget.value = 2, 3
    stepper.index.value = 7
    assert (stepper.state.thought, stepper.state.budget) == (2, 3)


def test_a_new_problem_comes_from_its_seed(stepper) -> None:
    stepper.source.value = NEW
    first = stepper.seed.value
    assert stepper.state.reading.problem == generate_prosqa(1, first)[0]
    stepper.new_problem.click()
    assert stepper.seed.value == first + 1
    assert stepper.state.reading.problem == generate_prosqa(1, first + 1)[0]
    stepper.seed.value = 31
    assert stepper.state.reading.problem == generate_prosqa(1, 31)[0]


def test_sources_remember_what_they_showed(stepper) -> None:
    stepper.index.value = 4
    stepper.source.value = OWN
    assert stepper.state.reading.problem == parse_problem(stepper.own_text.value)
    stepper.source.value = LIST
    assert stepper.state.reading.problem == stepper.problems[4]


@pytest.mark.parametrize(
    "text",
    [
        f"| {E[0]} {C[0]} | {C[0]} {C[1]} | {E[1]} {C[2]} [Q] {C[2]} {C[1]} [R] {E[0]}",
        f"{E[0]} is a {C[0]}. Every {C[0]} is a {C[1]}.\n{E[1]} is a {C[2]}. "
        f"Is {E[0]} a {C[2]} or {C[1]}?",
    ],
)
def test_own_graph_in_both_notations(stepper, text) -> None:
    stepper.own_text.value = text
    assert stepper.message.value == ""
    assert stepper.source.value == OWN
    graph = stepper.state.graph
    assert set(graph.names) == {*E[:2], *C[:3]}
    assert graph.names[graph.target] == C[1]
    assert stepper.state.note == ""
    (wanted,) = probe(
        CHECKPOINT.model,
        CHECKPOINT.tokenizer,
        [parse_problem(text).in_symbols()],
        CHECKPOINT.curriculum,
    )
    assert stepper.state.reading.thoughts == wanted.thoughts
    assert stepper.state.reading.answers == wanted.answers
    assert f"Is {E[0]} a {C[2]} or a {C[1]}?" in stepper.picture.value


def test_own_names_stand_for_words_that_the_model_knows(stepper) -> None:
    """The model sees its own words; the reader sees theirs, in the graph and in the words."""
    stepper.own_text.value = (
        f"Zoe is a cat. Every cat is a {C[1]}. {E[1]} is a fish. Is Zoe a {C[1]} or a fish?"
    )
    assert stepper.message.value == ""
    names = {"Zoe": E[0], "cat": C[0], C[1]: C[1], E[1]: E[1], "fish": C[2]}
    twin = parse_problem(
        f"{E[0]} is a {C[0]}. Every {C[0]} is a {C[1]}. {E[1]} is a {C[2]}. "
        f"Is {E[0]} a {C[1]} or a {C[2]}?"
    )
    (wanted,) = probe(
        CHECKPOINT.model, CHECKPOINT.tokenizer, [twin.in_symbols()], CHECKPOINT.curriculum
    )
    assert stepper.state.reading.thoughts == wanted.thoughts
    said = texts(graph_svg(parsed(stepper)))
    assert set(names) <= set(said)
    for word in (E[0], C[0], C[2]):
        assert word not in said
    for name, word in names.items():
        assert (f"{name} → {word}" in stepper.state.note) == (name != word)


def test_a_tokenizer_that_can_spell_reads_every_name_as_it_is() -> None:
    problem = parse_problem(
        "Zoe is a cat. Every cat is a hunter. Bo is a fox. Is Zoe a hunter or fox?"
    )
    stepper = ThoughtStepper(spelling_checkpoint(), problem=problem, problems=[problem])
    assert stepper.state.note == ""
    assert stepper.state.reading.problem == problem
    assert sum(probabilities(parsed(stepper)).values()) <= 1 + 1e-4
    assert {"Zoe", "cat", "hunter", "Bo", "fox"} <= set(texts(graph_svg(parsed(stepper))))


def test_markup_in_names_is_text() -> None:
    problem = parse_problem(
        "| <script>alert(1)</script> a&b | a&b \"><img/src=x> | Eva '; [Q] '; \"><img/src=x> "
        "[R] <script>alert(1)</script>"
    )
    stepper = ThoughtStepper(CHECKPOINT, problem=problem)
    root = parsed(stepper)
    assert "<script" not in stepper.picture.value and "<img" not in stepper.picture.value
    titles = [title.text for title in graph_svg(root).iter(f"{SVG}title")]
    for name in problem.graph.names:
        assert any(title.startswith(name) for title in titles)
    stepper.own_text.value = "<script>alert(1)</script>"
    assert "<script" not in stepper.message.value
    assert "&lt;script&gt;" in stepper.message.value


def test_unprintable_names_do_not_break_the_picture(stepper) -> None:
    stepper.own_text.value = "| Tom a\x01b | Eva \ud800c [Q] a\x01b \ud800c [R] Tom"
    parsed(stepper).itertext()
    assert "\x01" not in stepper.picture.value


def test_names_of_the_other_kind_stand_in_when_one_kind_runs_out(stepper) -> None:
    parents = " ".join(f"| e{i} a" for i in range(len(E) + 1))
    stepper.own_text.value = f"| Tom a {parents} | Eva d [Q] a d [R] Tom"
    assert stepper.message.value == ""
    assert len(stepper.state.graph.names) == len(E) + 5


# --- bad input ----------------------------------------------------------------------------------

MANY_NAMES = " ".join(f"| c{i} c{i + 1}" for i in range(len(E) + len(C)))
MANY_FACTS = " ".join(f"| c{i} c{j}" for i in range(1, len(C)) for j in range(i + 1, len(C)))
MANY_FACTS += " " + " ".join(f"| {e} c{j}" for e in "AB" for j in range(1, len(C)))
BAD = {
    "nothing": ("  \n ", "empty"),
    "no question": ("Tom is a cat.", "no question"),
    "malformed fact": ("Tom is cat. Is Tom a cat or a dog?", "cannot read .*Tom is cat"),
    "malformed symbols": ("| Tom cat dog [Q] cat dog [R] Tom", "fact 1 has 3 names"),
    "cycle": (
        "| Tom a | a b | b c | c a | Eva d [Q] b d [R] Tom",
        "cycle: .*→",
    ),
    "unreachable target": ("| Tom a | Eva b | Eva c [Q] b c [R] Tom", "neither option"),
    "both reachable": ("| Tom a | Tom b [Q] a b [R] Tom", "both options"),
    "repeated fact": ("| Tom a | Tom a | Eva b [Q] a b [R] Tom", "fact 2 .*repeats fact 1"),
    "duplicate option": ("| Tom a | Eva b [Q] a a [R] Tom", "both options are"),
    "unknown name": ("| Tom a | Eva b [Q] a z [R] Tom", "&#x27;z&#x27;, is unknown"),
    "too many names": (
        f"| Tom c0 {MANY_NAMES} | Eva d [Q] c1 d [R] Tom",
        f"this model has words for {len(E) + len(C)};",
    ),
    "too many nodes": (
        " ".join(f"| Tom c{i}" for i in range(MOST_NODES)) + " | Eva d [Q] c1 d [R] Tom",
        f"room for {MOST_NODES}",
    ),
    "too many facts": (f"| Tom c1 {MANY_FACTS} | Eva d [Q] c2 d [R] Tom", "the model only 96"),
    "too much text": ("x" * 10_001, "10,001 letters"),
    "reserved name": ("Tom is a <bot>. Eva is a b. Is Tom a <bot> or a b?", "reserved"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_explained_and_the_picture_stays(stepper, text, said) -> None:
    stepper.index.value = 3
    stepper.thought.value = 2
    picture, state = stepper.picture.value, stepper.state
    stepper.own_text.value = text
    message = ET.fromstring(stepper.message.value)
    assert message.get("role") == "alert"
    assert re.search(said, stepper.message.value, re.DOTALL), stepper.message.value
    assert stepper.picture.value == picture
    assert stepper.state == state
    stepper.thought.value = 3  # the last good problem can still be stepped through
    assert stepper.picture.value == render(replace(state, thought=3))
    stepper.index.value = 4
    assert stepper.message.value == ""


def test_the_same_text_can_be_tried_again(stepper) -> None:
    stepper.own_text.value = "nonsense"
    assert stepper.message.value
    stepper.source.value = LIST
    assert not stepper.message.value
    stepper.source.value = OWN
    assert stepper.message.value
    stepper.use_text.click()
    assert stepper.message.value


def test_what_cannot_be_made_says_so() -> None:
    with pytest.raises(CheckpointError, match="no-such-model"):
        ThoughtStepper("no-such-model")
    with pytest.raises(ProblemError, match="from 0 to 99"):
        ThoughtStepper(CHECKPOINT, problem=100)
    with pytest.raises(ProblemError, match="no graph"):
        ThoughtStepper(CHECKPOINT, problem=Problem("2 + 2", ("4",), "4"))
    with pytest.raises(ValueError, match="empty"):
        ThoughtStepper(CHECKPOINT, problems=[])
    with pytest.raises(ValueError, match="no thoughts"):
        ThoughtStepper(replace(CHECKPOINT, curriculum=Curriculum("no_cot")))
