"""The thought stepper without a browser: set values, read the picture."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from explorer_models import RIGHT
from hypothesis import given
from hypothesis import strategies as st
from stepped import CHECKPOINT, SVG, graph_svg, parsed, part, probabilities, rings, texts

from coconut_lab.checkpoints import shipped as checkpoints
from coconut_lab.explorers import ThoughtStepper
from coconut_lab.explorers.stepper.drawing import caption, render
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH, lay_out
from coconut_lab.explorers.stepper.widget import OWN
from coconut_lab.tasks.problems import parse_problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

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
