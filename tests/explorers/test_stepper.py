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
    assert [shown[node] for node in range(len(graph.names))] == pytest.approx(
        reading.nodes, abs=1e-6
    )
    assert sum(shown.values()) <= 1 + 1e-4
    assert rings(root) == graph.frontier(thought)
    roles, fills = {}, []
    for node in graph_svg(root).iterfind(f".//{SVG}g[@class='node']"):
        index = int(node.get("data-node"))
        for role in node.iterfind(f"{SVG}g[@class='role']"):
            roles[role.get("data-role")] = index
            assert role.get("data-role") in texts(role)
        name, number = [t for t in texts(node) if t not in ("root", "target", "distractor")]
        assert (name, number) == (graph.names[index], f"{reading.nodes[index]:.2f}")
        fill = node.find(f"{SVG}rect[@class='body']").get("fill")
        red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
        fills.append((shown[index], -(0.299 * red + 0.587 * green + 0.114 * blue)))
    assert roles == {"root": graph.root, "target": graph.target, "distractor": graph.distractor}
    # Also in greyscale: the darker, the more probable.
    assert [grey for _, grey in sorted(fills)] == sorted(grey for _, grey in fills)


def test_before_the_first_thought_there_are_no_probabilities(stepper) -> None:
    stepper.thought.value = 0
    root = parsed(stepper)
    assert probabilities(root) == {}
    assert rings(root) == {stepper.state.graph.root}
    assert part(root, "words").findall(f"{SVG}rect") == []


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
    reading, frontier, said = stepper.state.current, stepper.state.frontier, caption(stepper.state)
    assert len(frontier) > 1
    held = sum(reading.nodes[node] >= 0.05 for node in frontier)
    assert said == (
        f"Thought 1 puts {reading.frontier:.2f} of its probability on the 1-hop frontier "
        f"(chance: {reading.uniform_frontier:.2f}); {held} of its {len(frontier)} names "
        f"{'gets' if held == 1 else 'get'} 0.05 or more."
    )
    assert said in "".join(parsed(stepper).itertext())


def test_caption_without_a_frontier() -> None:
    problem = parse_problem("| Tom impus | Eva lempus [Q] impus lempus [R] Tom")
    stepper = ThoughtStepper(CHECKPOINT, problem=problem)
    stepper.thought.value = 3
    assert "No name is 3 hops from Tom" in caption(stepper.state)
    assert rings(parsed(stepper)) == set()


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


# --- the model ----------------------------------------------------------------------------------


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
