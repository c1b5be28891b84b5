"""The thought stepper as a widget, without a browser: set traits, look at the data."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import ipywidgets
import pytest
import traitlets
from explorer_models import random_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from coconut_lab.checkpoints.shipped import CheckpointError
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.explorers import ThoughtStepper
from coconut_lab.explorers.stepper import graph_picture
from coconut_lab.explorers.stepper.data import Question, stepper_data
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH, lay_out
from coconut_lab.explorers.stepper.reading import read
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.tasks.counterfactuals import twin
from coconut_lab.tasks.problems import Problem, ProblemError, parse_problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

CHECKPOINT = random_checkpoint()
E, C = PRESETS["tiny"].entities, PRESETS["tiny"].concepts
PNG = b"\x89PNG"


@pytest.fixture
def stepper() -> ThoughtStepper:
    return ThoughtStepper(CHECKPOINT)


def data_of(question: Question, **more):
    reading, note = read(CHECKPOINT, question, 3)
    return stepper_data(question, reading, CHECKPOINT.card, trained=3, note=note, **more)


# --- traits -------------------------------------------------------------------------------------


def test_it_begins_with_the_first_problem_of_the_card(stepper) -> None:
    assert stepper.problems == unseen_problems("tiny", 100)
    wanted = data_of(Question.of(stepper.problems[0]), source="problem 0 of 100")
    assert stepper.data == stepper.original == wanted
    assert (stepper.thought, stepper.budget, stepper.thoughts) == (1, 3, 3)
    assert repr(stepper) == "ThoughtStepper(random, 100 problems)"


def test_stepping_is_a_trait_that_can_be_set_observed_and_linked(stepper) -> None:
    seen, before = [], stepper.data
    stepper.observe(lambda change: seen.append(change.new), "thought")
    stepper.thought = 2
    stepper.budget = 0
    slider = ipywidgets.IntSlider(max=3)
    ipywidgets.jslink((slider, "value"), (stepper, "thought"))
    ipywidgets.link((slider, "value"), (stepper, "thought"))
    slider.value = 0
    assert seen[0] == 2 and stepper.thought == 0
    assert stepper.data is before  # no answer is needed


def test_no_forward_pass_while_stepping(stepper, monkeypatch) -> None:
    def forbidden(*arguments, **options):
        raise AssertionError("a forward pass while a slider moves")

    monkeypatch.setattr(CHECKPOINT.model, "latent_states", forbidden)
    with pytest.raises(AssertionError):
        stepper.index = 1  # the trap works
    for value in (3, 0, 2, 1):
        stepper.thought = stepper.budget = value


def test_a_fact_is_taken_away_and_put_back(stepper) -> None:
    problem, original = stepper.problems[0], stepper.data
    root = problem.graph.root
    stepper.removed = [4, 2]
    assert stepper.data == data_of(Question(problem, (2, 4), root), source="problem 0 of 100")
    assert stepper.removed == [2, 4] and stepper.original == original
    stepper.removed = []
    assert stepper.data == original


def test_another_root_is_asked_about(stepper) -> None:
    other = twin(stepper.problems[0]).graph.root
    stepper.asked = stepper.data["names"][other]
    assert stepper.data["asked"] == other and stepper.original["asked"] != other
    assert stepper.data["target"] not in (None, stepper.original["target"])
    stepper.index = 1  # another problem has none of these changes
    assert stepper.data == stepper.original and stepper.removed == []
    assert stepper.asked == stepper.data["names"][stepper.data["asked"]]


def test_each_source_has_its_problem_and_remembers_it(stepper) -> None:
    stepper.index = 4
    stepper.seed = 31
    assert (stepper.source, stepper.data["source"]) == ("new", "new problem, seed 31")
    (new,) = generate_prosqa(1, 31)
    assert stepper.data["names"] == list(new.graph.names)
    stepper.source = "own"
    assert stepper.data["names"] == list(parse_problem(stepper.text).graph.names)
    assert "cat → " in stepper.data["note"]
    stepper.source = "list"
    assert stepper.data["source"] == "problem 4 of 100"


@pytest.mark.parametrize(
    "text",
    [
        f"| {E[0]} {C[0]} | {C[0]} {C[1]} | {E[1]} {C[2]} [Q] {C[2]} {C[1]} [R] {E[0]}",
        f"{E[0]} is a {C[0]}. Every {C[0]} is a {C[1]}.\n{E[1]} is a {C[2]}. "
        f"Is {E[0]} a {C[2]} or {C[1]}?",
    ],
)
def test_own_problem_in_both_notations(stepper, text) -> None:
    stepper.text = text
    assert (stepper.message, stepper.source) == ("", "own")
    assert set(stepper.data["names"]) == {*E[:2], *C[:3]}
    assert (
        stepper.data == data_of(Question.of(parse_problem(text)), source="your own problem")
        and not stepper.data["note"]
    )


def test_readings_models_controls_and_more_thoughts(stepper) -> None:
    head = stepper.data["reading"]
    stepper.through = 1
    assert stepper.data["reading"]["thoughts"] != head["thoughts"]
    stepper.through = "<eot>"
    assert [one["number"] for one in stepper.data["reading"]["thoughts"]] == [0, 1, 2, 3]
    stepper.thoughts = 5
    assert len(stepper.data["reading"]["answers"]) == 6 and stepper.data["card"]["trained"] == 3
    stepper.budget = stepper.thought = 5
    stepper.thoughts = 2
    assert (stepper.budget, stepper.thought) == (2, 2)
    assert stepper.controls == ["none", "another problem", "untrained", "tiny-base"]
    for name in stepper.controls[1:]:
        stepper.control_name = name
        control = stepper.data["control"]
        assert control["name"] == name and control["in_words"]
        assert control["reading"]["thoughts"] != stepper.data["reading"]["thoughts"]
    stepper.model_name = "tiny-coconut"
    assert (
        stepper.data["card"]["model"] == "tiny-coconut"
        and len(stepper.data["card"]["accuracy"]) == 4
    )
    stepper.control_name = "none"
    assert stepper.data["control"] is None and stepper.message == ""


BAD_TRAITS = {
    "thought": (4, "thought=4; give 0 to 3"),
    "budget": (-1, "budget=-1; give 0 to 3"),
    "thoughts": (0, "give 1 to 64"),
    "index": (100, "give 0 to 99"),
    "seed": (-1, "give 0 to 2147483647"),
    "source": ("web", "'list', 'new', 'own'"),
    "model_name": ("gpt", "one of 'random', 'tiny-base'"),
    "through": (2, "one of 'head', 1, '<eot>'"),
    "control_name": ("x", "'another problem'"),
    "removed": ([1, 1], "each at most once"),
    "asked": ("Nobody", "asked='Nobody'; give one of"),
}


@pytest.mark.parametrize(("name", "value", "said"), [(k, *v) for k, v in BAD_TRAITS.items()])
def test_a_bad_value_is_refused_and_changes_nothing(stepper, name, value, said) -> None:
    before, data = getattr(stepper, name), stepper.data
    with pytest.raises(traitlets.TraitError, match=re.escape(said)):
        setattr(stepper, name, value)
    assert getattr(stepper, name) == before and stepper.data is data


# --- bad problems -------------------------------------------------------------------------------

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
    "unknown name": ("| Tom a | Eva b [Q] a z [R] Tom", "'z', is unknown"),
    "too many names": (
        f"| Tom c0 {MANY_NAMES} | Eva d [Q] c1 d [R] Tom",
        f"this model has words for {len(E) + len(C)};",
    ),
    "too many facts": (f"| Tom c1 {MANY_FACTS} | Eva d [Q] c2 d [R] Tom", "the model only 96"),
    "too much text": ("x" * 10_001, "10,001 letters"),
    "reserved name": ("Tom is a <bot>. Eva is a b. Is Tom a <bot> or a b?", "reserved"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD.keys())
def test_bad_text_is_explained_and_the_picture_stays(stepper, text, said) -> None:
    stepper.index = 3
    data = stepper.data
    stepper.text = text
    assert re.search(said, stepper.message, re.DOTALL), stepper.message
    assert stepper.data is data and stepper.text == text
    stepper.removed = [0]  # the last good problem can still be changed
    assert stepper.data["removed"] == [0] and stepper.data["source"] == "problem 3 of 100"
    assert stepper.message
    stepper.source = "list"
    assert stepper.message == "" and stepper.data["removed"] == [0]
    stepper.source = "own"
    assert stepper.message


def test_more_thoughts_than_fit_are_explained_and_taken_back(stepper) -> None:
    stepper.thoughts = 64
    assert "positions" in stepper.message or "96" in stepper.message
    assert stepper.thoughts == 3 and len(stepper.data["reading"]["answers"]) == 4


def test_what_cannot_be_made_says_so() -> None:
    with pytest.raises(CheckpointError, match="no-such-model"):
        ThoughtStepper("no-such-model")
    with pytest.raises(ProblemError, match="from 0 to 99"):
        ThoughtStepper(CHECKPOINT, problem=100)
    with pytest.raises(ProblemError, match="no graph"):
        ThoughtStepper(CHECKPOINT, problem=Problem("2 + 2", ("4",), "4"))
    with pytest.raises(ValueError, match="empty"):
        ThoughtStepper(CHECKPOINT, problems=[])
    for method in ("no_cot", "pause"):
        with pytest.raises(ValueError, match="no thoughts"):
            ThoughtStepper(replace(CHECKPOINT, curriculum=Curriculum(method)))


# --- what is drawn ------------------------------------------------------------------------------


def test_a_still_picture_stands_in_where_no_widget_can_be_drawn(stepper) -> None:
    bundle = stepper._repr_mimebundle_()[0]
    assert base64.b64decode(bundle["image/png"]).startswith(PNG)
    assert len(bundle["image/png"]) < 200_000
    assert bundle["text/plain"] == repr(stepper)
    names = "| <b>$x \u202egnp | \u202egnp y | Eva c [Q] c y [R] <b>$x"
    stepper.text = names
    for drawn in (stepper.still(), graph_picture(parse_problem(names))):
        titles = [
            title.text.split(":")[0] for title in ET.fromstring(drawn).iterfind(".//{*}title")
        ]
        assert titles == stepper.data["names"]
    assert stepper.message == ""
    assert base64.b64decode(stepper._repr_mimebundle_()[0]["image/png"]).startswith(PNG)


def test_the_module_is_joined_and_loads_nothing(stepper) -> None:
    for text in (stepper._esm, stepper._css):
        for sign in ("import ", "url(", "innerHTML", "insertAdjacentHTML", "eval("):
            assert sign not in text
        assert set(re.findall(r"https?://[^\"\s]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert stepper._esm.count("export default") == 1


@given(st.integers(0, 10_000), st.sampled_from(sorted(PRESETS)))
def test_layout_is_clean(seed: int, preset: str) -> None:
    """Edges lead to the right, nodes do not touch, and no edge runs through a node."""
    graph = generate_prosqa(1, seed, preset)[0].graph
    layout = lay_out(graph)
    half = (NODE_WIDTH / 2, NODE_HEIGHT / 2)
    for (x, y), column in zip(layout.nodes, layout.columns, strict=True):
        assert half[0] <= x <= layout.width - half[0]
        assert half[1] <= y <= layout.height - half[1]
        mates = [
            other
            for other, its in zip(layout.nodes, layout.columns, strict=True)
            if its == column and other != (x, y)
        ]
        assert all(abs(y - other) > NODE_HEIGHT + 20 for _, other in mates)
    for (parent, child), points in zip(graph.edges, layout.edges, strict=True):
        assert layout.columns[parent] < layout.columns[child]
        others = [p for n, p in enumerate(layout.nodes) if n not in (parent, child)]
        for (x, y), (to_x, to_y) in pairwise(points):
            assert x < to_x
            # A curve that leaves and arrives horizontally stays within its two corners.
            low, high = min(y, to_y), max(y, to_y)
            for other_x, other_y in others:
                beside = to_x <= other_x - half[0] or x >= other_x + half[0]
                above = high < other_y - half[1] - 5
                below = low > other_y + half[1] + 5
                assert beside or above or below
