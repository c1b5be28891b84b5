"""The thought stepper without a browser: set values, read the picture."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from explorer_models import random_checkpoint, spelling_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from pictures import every, parsed, part, said, texts

from coconut_lab.checkpoints.shipped import CheckpointError
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.explorers import ThoughtStepper
from coconut_lab.explorers.stepper.drawing import caption, render
from coconut_lab.explorers.stepper.layout import NODE_HEIGHT, NODE_WIDTH, lay_out
from coconut_lab.explorers.stepper.widget import LIST, MOST_NODES, NEW, OWN
from coconut_lab.interpretability.probing import probe
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.tasks.problems import Problem, ProblemError, parse_problem
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

CHECKPOINT = random_checkpoint()
LISTED = generate_prosqa(2, seed=3)
E, C = PRESETS["tiny"].entities, PRESETS["tiny"].concepts


@pytest.fixture
def stepper() -> ThoughtStepper:
    """A thought stepper around a model that was never trained."""
    return ThoughtStepper(CHECKPOINT)


def graph_of(picture):
    return part(picture, "graph")


def probabilities(picture) -> dict[int, float]:
    return {
        int(node.get("data-node")): float(node.get("data-probability"))
        for node in every(graph_of(picture), "node")
        if node.get("data-probability") is not None
    }


def rings(picture) -> set[int]:
    return {int(ring.get("data-node")) for ring in every(graph_of(picture), "ring")}


def shows(stepper: ThoughtStepper, problem: Problem) -> bool:
    """Whether thoughts and answers are those of a problem in the model's own words."""
    model, tokenizer, curriculum = CHECKPOINT.model, CHECKPOINT.tokenizer, CHECKPOINT.curriculum
    (wanted,) = probe(model, tokenizer, [problem.in_symbols()], curriculum)
    return stepper.state.reading == replace(wanted, problem=stepper.state.reading.problem)


# --- the picture --------------------------------------------------------------------------------


@pytest.mark.parametrize("thought", [1, 2, 3])
def test_nodes_are_filled_by_what_the_thought_gives_them(stepper, thought) -> None:
    stepper.thought.value = thought
    graph, reading = stepper.state.graph, stepper.state.reading.thoughts[thought - 1]
    shown = probabilities(stepper)
    assert [shown[node] for node in range(len(graph.names))] == pytest.approx(
        reading.nodes, abs=1e-6
    )
    roles, fills = {}, []
    for node in every(graph_of(stepper), "node"):
        index = int(node.get("data-node"))
        for role in every(node, "role"):
            roles[role.get("data-role")] = index
            assert role.get("data-role") in texts(role)
        name, number = [t for t in texts(node) if t not in ("root", "target", "distractor")]
        assert (name, number) == (graph.names[index], f"{reading.nodes[index]:.2f}")
        fill = part(node, "body").get("fill")
        red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
        fills.append((shown[index], -(0.299 * red + 0.587 * green + 0.114 * blue)))
    assert roles == {"root": graph.root, "target": graph.target, "distractor": graph.distractor}
    # Also in greyscale: the darker, the more probable.
    assert [grey for _, grey in sorted(fills)] == sorted(grey for _, grey in fills)


def test_words_of_every_thought_so_far(stepper) -> None:
    stepper.thought.value = 2
    shown = texts(part(stepper, "words"))
    for thought in stepper.state.reading.thoughts[:2]:
        for word in thought.words[:4]:
            assert {word.text, f"{word.probability:.2f}"} <= set(shown)
    assert "Thought 3: not yet" in shown


@pytest.mark.parametrize("budget", [0, 1, 2, 3])
def test_budget_shows_the_forced_answer_and_the_accuracy_on_the_card(stepper, budget) -> None:
    stepper.budget.value = budget
    forced, row = stepper.state.reading.answers[budget], CHECKPOINT.card["accuracy"][budget]
    shown = texts(part(stepper, "answer"))
    assert {f"{forced.target:.2f}", f"{forced.distractor:.2f}"} <= set(shown)
    assert said(stepper, "score") == (
        f"{row['accuracy']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
    )


def test_a_card_without_accuracy_is_no_obstacle() -> None:
    stepper = ThoughtStepper(replace(CHECKPOINT, card={}))
    assert said(stepper, "score") == "not on this model's card"


def test_caption_says_the_mass_and_what_chance_would_give(stepper) -> None:
    reading, frontier = stepper.state.current, stepper.state.frontier
    held = sum(reading.nodes[node] >= 0.05 for node in frontier)
    assert len(frontier) > 1
    assert said(stepper, "caption") == (
        f"Thought 1 puts {reading.frontier:.2f} of its probability on the 1-hop frontier "
        f"(chance: {reading.uniform_frontier:.2f}); {held} of its {len(frontier)} names "
        f"{'gets' if held == 1 else 'get'} 0.05 or more."
    )
    problem = parse_problem("| Tom impus | Eva lempus [Q] impus lempus [R] Tom")
    stepper = ThoughtStepper(CHECKPOINT, problem=problem)
    stepper.thought.value = 3
    assert "No name is 3 hops from Tom" in caption(stepper.state)
    assert rings(stepper) == set()


@given(st.integers(0, 10_000), st.sampled_from(sorted(PRESETS)))
def test_layout_is_clean(seed: int, preset: str) -> None:
    """Edges lead to the right, nodes do not touch, and no edge runs through a node."""
    graph = generate_prosqa(1, seed, preset)[0].graph
    layout = lay_out(graph)
    half = (NODE_WIDTH / 2, NODE_HEIGHT / 2)
    placed = list(zip(layout.nodes, layout.columns, strict=True))
    for (x, y), column in placed:
        assert half[0] <= x <= layout.width - half[0]
        assert half[1] <= y <= layout.height - half[1]
        mates = [other for other, its in placed if its == column and other != (x, y)]
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
    assert rings(stepper) == stepper.state.graph.frontier(thought)
    assert sum(probabilities(stepper).values()) <= 1 + 1e-4
    if thought == 0:
        assert probabilities(stepper) == {} and not part(stepper, "words").findall("{*}rect")


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
        stepper.thought.value = stepper.budget.value = value
    assert stepper.picture.value == render(stepper.state)


def test_the_shipped_model() -> None:
    stepper = ThoughtStepper("tiny-coconut")
    assert repr(stepper) == "ThoughtStepper(tiny-coconut, 100 problems)"
    assert len(stepper.state.scores) == 4
    stepper.source.value = OWN
    assert stepper.message.value == ""
    assert stepper.state.thought == 1 and stepper.state.current.frontier > 0.8


# --- choosing a problem -------------------------------------------------------------------------


def test_problems_of_the_list(stepper) -> None:
    assert stepper.problems == unseen_problems("tiny", 100)
    stepper.thought.value, stepper.budget.value = 2, 3
    stepper.index.value = 7
    assert stepper.state.reading.problem == stepper.problems[7]
    assert "problem 7 of 100" in stepper.picture.value
    assert stepper.source.value == LIST
    assert (stepper.state.thought, stepper.state.budget) == (2, 3)  # the sliders keep their place


def test_a_new_problem_comes_from_its_seed(stepper) -> None:
    stepper.source.value = NEW
    first = stepper.seed.value
    assert stepper.state.reading.problem == generate_prosqa(1, first)[0]
    stepper.new_problem.click()
    assert stepper.seed.value == first + 1
    for seed in (first + 1, 31):
        stepper.seed.value = seed
        assert stepper.state.reading.problem == generate_prosqa(1, seed)[0]


def test_sources_remember_what_they_showed(stepper) -> None:
    stepper.index.value = 4
    stepper.source.value = OWN
    assert stepper.state.reading.problem == parse_problem(stepper.own_text.value)
    stepper.own_text.value = "nonsense"
    for source, problem in ((LIST, stepper.problems[4]), (OWN, None)):
        stepper.source.value = source
        assert bool(stepper.message.value) == (problem is None)
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
    assert (stepper.message.value, stepper.source.value) == ("", OWN)
    graph = stepper.state.graph
    assert set(graph.names) == {*E[:2], *C[:3]}
    assert graph.names[graph.target] == C[1]
    assert stepper.state.note == ""
    assert shows(stepper, parse_problem(text))
    assert f"Is {E[0]} a {C[2]} or a {C[1]}?" in stepper.picture.value


def test_own_names_stand_for_words_that_the_model_knows(stepper) -> None:
    """The model sees its own words; the reader sees theirs, in the graph and in the words."""
    own = f"Zoe is a cat. Every cat is a {C[1]}. {E[1]} is a fish. Is Zoe a {C[1]} or a fish?"
    stepper.own_text.value = own
    assert stepper.message.value == ""
    names = {"Zoe": E[0], "cat": C[0], C[1]: C[1], E[1]: E[1], "fish": C[2]}
    for name, word in names.items():
        assert (f"{name} → {word}" in stepper.state.note) == (name != word)
        own = re.sub(rf"\b{name}\b", word, own)
    assert shows(stepper, parse_problem(own))
    shown = set(texts(graph_of(stepper)))
    assert set(names) <= shown and not {E[0], C[0], C[2]} & shown


def test_a_tokenizer_that_can_spell_reads_every_name_as_it_is() -> None:
    problem = parse_problem(
        "Zoe is a cat. Every cat is a hunter. Bo is a fox. Is Zoe a hunter or fox?"
    )
    stepper = ThoughtStepper(spelling_checkpoint(), problem=problem, problems=[problem])
    assert (stepper.state.note, stepper.state.reading.problem) == ("", problem)
    assert sum(probabilities(stepper).values()) <= 1 + 1e-4
    assert {"Zoe", "cat", "hunter", "Bo", "fox"} <= set(texts(graph_of(stepper)))


def test_markup_in_names_is_text() -> None:
    problem = parse_problem(
        "| <script>alert(1)</script> a&b | a&b \"><img/src=x> | Eva '; [Q] '; \"><img/src=x> "
        "[R] <script>alert(1)</script>"
    )
    stepper = ThoughtStepper(CHECKPOINT, problem=problem)
    assert "<script" not in stepper.picture.value and "<img" not in stepper.picture.value
    titles = [title.text for title in graph_of(stepper).iterfind(".//{*}title")]
    for name in problem.graph.names:
        assert any(title.startswith(name) for title in titles)
    stepper.own_text.value = "<script>alert(1)</script>"
    assert "<script" not in stepper.message.value
    assert "&lt;script&gt;" in stepper.message.value
    stepper.own_text.value = "| Tom a\x01b | Eva \ud800c [Q] a\x01b \ud800c [R] Tom"
    parsed(stepper)
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
MANY_NODES = " ".join(f"| Tom c{i}" for i in range(MOST_NODES))
BAD = {
    "  \n ": "empty",
    "Tom is a cat.": "no question",
    "Tom is cat. Is Tom a cat or a dog?": "cannot read .*Tom is cat",
    "| Tom cat dog [Q] cat dog [R] Tom": "fact 1 has 3 names",
    "| Tom a | a b | b c | c a | Eva d [Q] b d [R] Tom": "cycle: .*→",
    "| Tom a | Eva b | Eva c [Q] b c [R] Tom": "neither option",
    "| Tom a | Tom b [Q] a b [R] Tom": "both options",
    "| Tom a | Tom a | Eva b [Q] a b [R] Tom": "fact 2 .*repeats fact 1",
    "| Tom a | Eva b [Q] a a [R] Tom": "both options are",
    "| Tom a | Eva b [Q] a z [R] Tom": "&#x27;z&#x27;, is unknown",
    "Tom is a <bot>. Eva is a b. Is Tom a <bot> or a b?": "reserved",
    f"| Tom c0 {MANY_NAMES} | Eva d [Q] c1 d [R] Tom": f"has words for {len(E) + len(C)};",
    f"{MANY_NODES} | Eva d [Q] c1 d [R] Tom": f"room for {MOST_NODES}",
    f"| Tom c1 {MANY_FACTS} | Eva d [Q] c2 d [R] Tom": "the model only 96",
    "x" * 100_000: "cannot read &#x27;xxx",
}


@pytest.mark.parametrize(("text", "why"), BAD.items(), ids=BAD.values())
def test_bad_input_is_explained_and_the_picture_stays(stepper, text, why) -> None:
    stepper.index.value = 3
    stepper.thought.value = 2
    picture, state = stepper.picture.value, stepper.state
    stepper.own_text.value = text
    assert parsed(stepper.message.value).get("role") == "alert"
    assert re.search(why, stepper.message.value, re.DOTALL), stepper.message.value
    assert (stepper.picture.value, stepper.state) == (picture, state)
    stepper.thought.value = 3  # the last good problem can still be stepped through
    assert stepper.picture.value == render(replace(state, thought=3))
    stepper.index.value = 4
    assert stepper.message.value == ""


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        ({"checkpoint": "no-such-model"}, CheckpointError, "no-such-model"),
        ({"problem": 100}, ProblemError, "from 0 to 99"),
        ({"problem": Problem("2 + 2", ("4",), "4")}, ProblemError, "no graph"),
        ({"problems": []}, ValueError, "empty"),
        ({"checkpoint": replace(CHECKPOINT, curriculum=Curriculum("no_cot"))}, ValueError,
         "no thoughts"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_says_so(arguments, error, why) -> None:
    with pytest.raises(error, match=why):
        ThoughtStepper(**{"checkpoint": CHECKPOINT, **arguments})
