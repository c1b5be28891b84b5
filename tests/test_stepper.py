"""The thought stepper without a browser: set values, read the picture."""

from __future__ import annotations

import re
import statistics
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest
from explorer_models import RIGHT, random_checkpoint, spelling_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from coconut_lab import checkpoints
from coconut_lab.checkpoints import CheckpointError
from coconut_lab.curriculum import Curriculum
from coconut_lab.explorers import ThoughtStepper
from coconut_lab.explorers.drawing import caption, render
from coconut_lab.explorers.layout import NODE_HEIGHT, NODE_WIDTH, lay_out
from coconut_lab.explorers.stepper import LIST, MOST_NODES, NEW, OWN
from coconut_lab.probing import probe
from coconut_lab.problems import Problem, ProblemError, parse_problem
from coconut_lab.prosqa import PRESETS, generate_prosqa
from coconut_lab.shipping import unseen_problems

CHECKPOINT = random_checkpoint()
E, C = PRESETS["tiny"].entities, PRESETS["tiny"].concepts
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def stepper() -> ThoughtStepper:
    return ThoughtStepper(CHECKPOINT)


def parsed(stepper: ThoughtStepper) -> ET.Element:
    """The picture as XML: it must be well formed to be drawn as meant."""
    return ET.fromstring(stepper.picture.value)


def graph_svg(root: ET.Element) -> ET.Element:
    (found,) = root.iterfind(f".//{SVG}svg[@class='graph']")
    return found


def probabilities(root: ET.Element) -> dict[int, float]:
    return {
        int(node.get("data-node")): float(node.get("data-probability"))
        for node in graph_svg(root).iterfind(f".//{SVG}g[@class='node']")
        if node.get("data-probability") is not None
    }


def rings(root: ET.Element) -> set[int]:
    found = graph_svg(root).iterfind(f".//{SVG}rect[@class='ring']")
    return {int(ring.get("data-node")) for ring in found}


def texts(element: ET.Element) -> list[str]:
    return [found.text for found in element.iter(f"{SVG}text")]


def part(root: ET.Element, name: str) -> ET.Element:
    (found,) = root.iterfind(f".//{SVG}svg[@class='{name}']")
    return found


# --- the picture --------------------------------------------------------------------------------


@pytest.mark.parametrize("thought", [1, 2, 3])
def test_nodes_are_filled_by_what_the_thought_gives_them(stepper, thought) -> None:
    stepper.thought.value = thought
    root = parsed(stepper)
    graph, reading = stepper.state.graph, stepper.state.reading.thoughts[thought - 1]
    shown = probabilities(root)
    assert shown.keys() == set(range(len(graph.names)))
    assert sum(shown.values()) <= 1 + 1e-4
    assert [shown[node] for node in sorted(shown)] == pytest.approx(reading.nodes, abs=1e-6)
    assert rings(root) == graph.frontier(thought)
    for node in graph_svg(root).iterfind(f".//{SVG}g[@class='node']"):
        name, number = [t for t in texts(node) if t not in ("root", "target", "distractor")]
        index = int(node.get("data-node"))
        assert name == graph.names[index]
        assert number == f"{reading.nodes[index]:.2f}"


def test_before_the_first_thought_there_are_no_probabilities(stepper) -> None:
    stepper.thought.value = 0
    root = parsed(stepper)
    assert probabilities(root) == {}
    assert rings(root) == {stepper.state.graph.root}
    assert part(root, "words").findall(f"{SVG}rect") == []


def test_roles_are_marked_by_word(stepper) -> None:
    graph = stepper.state.graph
    wanted = {"root": graph.root, "target": graph.target, "distractor": graph.distractor}
    found = {}
    for node in graph_svg(parsed(stepper)).iterfind(f".//{SVG}g[@class='node']"):
        for role in node.iterfind(f"{SVG}g[@class='role']"):
            found[role.get("data-role")] = int(node.get("data-node"))
            assert role.get("data-role") in texts(role)
    assert found == wanted


def test_a_darker_fill_is_a_higher_probability(stepper) -> None:
    """Also in greyscale: the fill's luminance falls with the probability."""
    root = parsed(stepper)
    shares = probabilities(root)
    pairs = []
    for node in graph_svg(root).iterfind(f".//{SVG}g[@class='node']"):
        fill = node.find(f"{SVG}rect[@class='body']").get("fill")
        red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        pairs.append((shares[int(node.get("data-node"))], -grey))
    pairs.sort()
    assert [grey for _, grey in pairs] == sorted(grey for _, grey in pairs)


def test_words_of_every_thought_so_far(stepper) -> None:
    stepper.thought.value = 2
    said = texts(part(parsed(stepper), "words"))
    for thought in stepper.state.reading.thoughts[:2]:
        for word in thought.words[:4]:
            assert word.text in said
            assert f"{word.probability:.2f}" in said
    assert "Thought 3: not yet" in said


@pytest.mark.parametrize("budget", [0, 1, 2, 3])
def test_budget_shows_the_forced_answer_and_the_accuracy_on_the_card(stepper, budget) -> None:
    stepper.budget.value = budget
    root = parsed(stepper)
    forced = stepper.state.reading.answers[budget]
    said = texts(part(root, "answer"))
    assert f"{forced.target:.2f}" in said and f"{forced.distractor:.2f}" in said
    row = CHECKPOINT.card["accuracy"][budget]
    assert row["right"] == RIGHT[budget]
    (score,) = root.iterfind(".//span[@class='score']")
    assert score.text == (
        f"{row['accuracy']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
    )


def test_a_card_without_accuracy_is_no_obstacle() -> None:
    stepper = ThoughtStepper(replace(CHECKPOINT, card={}))
    (score,) = parsed(stepper).iterfind(".//span[@class='score']")
    assert "not on this model's card" in score.text


def test_caption_says_the_mass_and_what_chance_would_give(stepper) -> None:
    stepper.thought.value = 1
    reading = stepper.state.current
    assert (
        f"Thought 1 puts {reading.frontier:.2f} of its probability on the 1-hop frontier "
        f"(chance: {reading.uniform_frontier:.2f})" in caption(stepper.state)
    )
    if len(stepper.state.frontier) > 1:
        held = sum(reading.nodes[node] >= 0.05 for node in stepper.state.frontier)
        assert f"; {held} of its {len(stepper.state.frontier)} names" in caption(stepper.state)
    assert caption(stepper.state) in "".join(parsed(stepper).itertext())


def test_caption_without_a_frontier() -> None:
    problem = parse_problem("| Tom impus | Eva lempus [Q] impus lempus [R] Tom")
    stepper = ThoughtStepper(CHECKPOINT, problem=problem)
    stepper.thought.value = 3
    assert "No name is 3 hops from Tom" in caption(stepper.state)
    assert rings(parsed(stepper)) == set()


def test_every_picture_speaks_to_screen_readers(stepper) -> None:
    pictures = [s for s in parsed(stepper).iter(f"{SVG}svg") if s.get("aria-hidden") != "true"]
    assert len(pictures) == 4
    for svg in pictures:
        assert svg.get("role") == "img"
        assert svg.get("aria-label")
        assert svg.find(f"{SVG}desc").text
    for control in (stepper.thought, stepper.budget, stepper.index, stepper.seed, stepper.own_text):
        assert control.description


def test_nothing_is_loaded_from_elsewhere(stepper) -> None:
    value = stepper.picture.value.replace("http://www.w3.org/2000/svg", "")
    for sign in ("http:", "https:", "//", "url(", "<script", "<link", "<img", "<style", "@import"):
        assert sign not in value


def test_render_is_pure(stepper) -> None:
    state = stepper.state.at(2, 1)
    assert render(state) == render(state)
    stepper.thought.value, stepper.budget.value = 2, 1
    assert stepper.picture.value == render(state)


def test_two_steppers_draw_the_same() -> None:
    assert ThoughtStepper(CHECKPOINT).picture.value == ThoughtStepper(CHECKPOINT).picture.value


# --- the layout ---------------------------------------------------------------------------------


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


@given(st.integers(0, 10_000), st.integers(0, 3), st.integers(0, 3))
def test_every_picture_is_well_formed(seed: int, thought: int, budget: int) -> None:
    stepper = ThoughtStepper(CHECKPOINT, problem=generate_prosqa(1, seed)[0], problems=LISTED)
    stepper.thought.value, stepper.budget.value = thought, budget
    root = parsed(stepper)
    assert sum(probabilities(root).values()) <= 1 + 1e-4
    assert rings(root) == stepper.state.graph.frontier(thought)


LISTED = generate_prosqa(2, seed=3)


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
    "too many facts": (f"| Tom c1 {MANY_FACTS} | Eva d [Q] c2 d [R] Tom", "too long: .*96"),
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
    assert stepper.picture.value == render(state.at(3))
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


# --- speed, and what notebooks keep -------------------------------------------------------------


def test_no_forward_pass_while_a_slider_moves(stepper, monkeypatch) -> None:
    def forbidden(*arguments, **options):
        raise AssertionError("a forward pass while a slider moves")

    for module in CHECKPOINT.model.modules():
        monkeypatch.setattr(module, "forward", forbidden)
    monkeypatch.setattr(CHECKPOINT.model, "latent_states", forbidden)
    with pytest.raises(AssertionError):
        stepper.index.value = 1  # the trap works
    for value in (3, 0, 2, 1):
        stepper.thought.value = value
        stepper.budget.value = value
    assert stepper.picture.value == render(stepper.state)


def test_a_slider_is_answered_within_five_milliseconds(stepper) -> None:
    times = []
    for step in range(20):
        start = time.perf_counter()
        stepper.thought.value = (0, 1, 2, 3)[step % 4]
        times.append(1000 * (time.perf_counter() - start))
    print(f"slider value to new HTML: {statistics.median(times):.2f} ms, median of {len(times)}")
    assert statistics.median(times) <= 5


def test_text_in_notebooks_is_short_and_repeats(stepper) -> None:
    text = repr(stepper)
    assert text == "ThoughtStepper(random, 100 problems)"
    stepper.thought.value = 3
    assert stepper._repr_mimebundle_()["text/plain"] == text
    assert len(stepper.picture.value) < 60_000


@pytest.mark.skipif("tiny-coconut" not in checkpoints.names(), reason="not built yet")
def test_the_shipped_model() -> None:
    stepper = ThoughtStepper("tiny-coconut")
    assert repr(stepper) == "ThoughtStepper(tiny-coconut, 100 problems)"
    assert len(stepper.state.scores) == 4
    for thought in range(4):
        stepper.thought.value = stepper.budget.value = thought
        assert rings(parsed(stepper)) == stepper.state.graph.frontier(thought)
    stepper.source.value = OWN
    assert stepper.message.value == ""
    stepper.thought.value = 1
    assert stepper.state.current.frontier > 0.8
