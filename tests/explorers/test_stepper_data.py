"""What the thought stepper shows, without a widget: the dictionary, and what the model thinks."""

from __future__ import annotations

import json

import pytest
from explorer_models import random_checkpoint, spelling_checkpoint
from hypothesis import given
from hypothesis import strategies as st

from coconut_lab.explorers.stepper.data import MOST_DRAWN, Question, stepper_data
from coconut_lab.explorers.stepper.reading import read, readings_through, thoughts_trained
from coconut_lab.interpretability.chances import chances, name_tokens
from coconut_lab.interpretability.thinking import rows_with_thoughts, think
from coconut_lab.interpretability.values import node_values
from coconut_lab.tasks.counterfactuals import twin
from coconut_lab.tasks.problems import ProblemError, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa

CHECKPOINT = random_checkpoint()
SMALL = "| Tom a | a b | Tom c | c b | Eva d | d e [Q] e b [R] Tom"
NOTHING = {"through": "head", "thoughts": [], "answers": [[0.5, 0.25]]}


def shown(text: str = SMALL, removed: tuple[int, ...] = (), asked: int | None = None, **more):
    problem = parse_problem(text)
    asked = problem.graph.root if asked is None else asked
    return stepper_data(Question(problem, removed, asked), NOTHING, {}, trained=3, **more)


def test_the_dictionary_of_a_problem() -> None:
    data = shown(source="here", note="mind")
    assert list(data) == ["names", "facts", "removed", "options", "asked", "roots", "target",
                          "distances", "on_path", "layout", "reading", "control", "card", "source",
                          "note"]  # fmt: skip
    name = data["names"].__getitem__
    assert [tuple(map(name, fact)) for fact in data["facts"]] == [
        ("Tom", "a"), ("a", "b"), ("Tom", "c"), ("c", "b"), ("Eva", "d"), ("d", "e")
    ]  # fmt: skip
    assert [name(node) for node in data["options"]] == ["e", "b"]
    assert sorted(map(name, data["roots"])) == ["Eva", "Tom"]
    assert (name(data["asked"]), name(data["target"])) == ("Tom", "b")
    assert dict(zip(data["names"], data["distances"], strict=True)) == {
        "Tom": 0, "a": 1, "c": 1, "b": 2, "Eva": None, "d": None, "e": None
    }  # fmt: skip
    assert sorted(map(name, data["on_path"])) == ["Tom", "a", "b", "c"]
    assert data["reading"] == NOTHING and data["control"] is None
    assert data["card"] == {"model": "a model", "trained": 3, "accuracy": []}
    assert (data["source"], data["note"]) == ("here", "mind")
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize(
    ("removed", "asked", "target", "path"),
    [
        ((1,), "Tom", "b", ["Tom", "b", "c"]),  # one of two ways is left
        ((1, 3), "Tom", None, []),  # neither option
        ((), "Eva", "e", ["Eva", "d", "e"]),  # the twin
        ((0, 1, 2, 3, 4, 5), "Tom", None, []),
    ],
)
def test_what_the_facts_left_lead_to(removed, asked, target, path) -> None:
    whole = shown()
    data = shown(removed=removed, asked=whole["names"].index(asked))
    assert data["target"] == (None if target is None else data["names"].index(target))
    assert sorted(data["names"][node] for node in data["on_path"]) == path
    assert data["removed"] == list(removed)
    for same in ("names", "facts", "layout", "roots", "options"):
        assert data[same] == whole[same]


def test_both_options_can_be_reached() -> None:
    both = "| Tom a | Eva a | Eva b [Q] a b [R] Tom"
    eva = shown(both)["names"].index("Eva")
    assert shown(both)["target"] is not None and shown(both, asked=eva)["target"] is None
    removed = shown(both, (1,), eva)
    assert removed["names"][removed["target"]] == "b"


@given(st.integers(0, 10_000), st.data())
def test_every_change_of_a_problem_can_be_shown(seed, draw) -> None:
    problem = generate_prosqa(1, seed)[0]
    question = Question.of(problem)
    removed = draw.draw(st.sets(st.sampled_from(range(len(question.facts)))))
    asked = draw.draw(st.sampled_from(question.roots))
    changed = Question(problem, tuple(sorted(removed)), asked)
    data = stepper_data(changed, NOTHING, {}, trained=3)
    assert json.loads(json.dumps(data)) == data
    assert data["distances"][asked] == 0
    assert len(data["layout"]["edges"]) == len(data["facts"])
    for (parent, child), points in zip(data["facts"], data["layout"]["edges"], strict=True):
        assert points[0][0] > data["layout"]["nodes"][parent][0]
        assert points[-1][0] < data["layout"]["nodes"][child][0]
    if not removed and asked == twin(problem).graph.root:
        assert changed.text() == twin(problem).question


def test_the_text_of_a_changed_question() -> None:
    problem = parse_problem(SMALL)
    eva = problem.graph.names.index("Eva")
    assert Question(problem, (0, 3), eva).text() == "| a b | Tom c | Eva d | d e [Q] e b [R] Eva"
    english = Question(problem.in_english(), (0,), eva).text()
    assert english.startswith("Every a is a b. Tom is a c. Every c is a b.")  # a is no person now
    assert english.endswith("Is Eva a e or b?")


def test_a_graph_too_large_to_draw_has_no_layout() -> None:
    facts = " ".join(f"| Tom c{i}" for i in range(MOST_DRAWN))
    assert shown(f"{facts} | Eva d [Q] c1 d [R] Tom")["layout"] is None


# --- what the model thinks ----------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", [CHECKPOINT, spelling_checkpoint()], ids=["words", "bpe"])
def test_one_batch_gives_what_single_rows_give(checkpoint) -> None:
    problem = generate_prosqa(1, 5)[0]
    if checkpoint is not CHECKPOINT:
        problem = problem.in_english()
    found, note = read(checkpoint, Question.of(problem), 3)
    model, curriculum, tokenizer = checkpoint.model, checkpoint.curriculum, checkpoint.tokenizer
    assert note == ""
    table = node_values(model, [problem], curriculum, 3)
    whole = model.head(think(model, [problem], curriculum, 3)[0]).softmax(-1)  # (3, V)
    for thought, row in zip(found["thoughts"], whole, strict=True):
        wanted = table[table.thought == thought["number"]].sort_values("node")
        assert {thought["hop"]} == set(wanted.hop)
        assert thought["nodes"] == pytest.approx(wanted.value.tolist(), abs=1e-5)
        for text, share in thought["words"]:
            assert text not in problem.graph.names and share >= 0.005
            assert (row - share).abs().min() < 1e-5
    said = Question.of(problem).statement
    forced = "###" if checkpoint is CHECKPOINT else f"### {said.asked} is a"
    options = name_tokens(forced, said.options, tokenizer)
    for k, pair in enumerate(found["answers"]):
        (row,) = rows_with_thoughts(model, [problem], curriculum, k)
        row = [*row, model.tokens.eot, *tokenizer(forced, add_special_tokens=False).input_ids]
        (wanted,) = chances(model, [(row, options)], 8)
        assert pair == pytest.approx(wanted.tolist(), abs=1e-5)


@pytest.mark.parametrize("through", [1, "<eot>"])
def test_other_readings_are_those_of_the_table(through) -> None:
    problem = generate_prosqa(1, 6)[0]
    found, _ = read(CHECKPOINT, Question.of(problem), 3, through)
    assert found["through"] == through
    table = node_values(CHECKPOINT.model, [problem], CHECKPOINT.curriculum, 3, through=through)
    for thought in found["thoughts"]:
        rows = table[table.thought == thought["number"]].sort_values("node")
        assert thought["nodes"] == pytest.approx(rows.value.tolist(), abs=1e-5)
        assert {thought["hop"]} == set(rows.hop)
    numbers = [thought["number"] for thought in found["thoughts"]]
    assert numbers == sorted(set(table.thought)) == list(range(through != "<eot>", 4))


def test_a_changed_question_is_read_as_it_is_written() -> None:
    problem = generate_prosqa(1, 7)[0]
    found, _ = read(CHECKPOINT, Question(problem, (), twin(problem).graph.root), 3)
    wanted, _ = read(CHECKPOINT, Question.of(twin(problem)), 3)
    assert found == wanted and found["thoughts"] != read(CHECKPOINT, Question.of(problem), 3)[0]


def test_a_control_looks_for_the_names_of_another_problem() -> None:
    one, two = (Question.of(problem) for problem in generate_prosqa(2, 8))
    found, _ = read(CHECKPOINT, two, 3, "head", one)
    own, _ = read(CHECKPOINT, two, 3)
    assert len(found["thoughts"][0]["nodes"]) == len(one.names)
    for name in set(one.names) & set(two.names):
        assert found["thoughts"][1]["nodes"][one.names.index(name)] == pytest.approx(
            own["thoughts"][1]["nodes"][two.names.index(name)], abs=1e-6
        )


def test_more_thoughts_than_the_model_was_trained_with() -> None:
    question = Question.of(generate_prosqa(1, 9)[0])
    few, many = (read(CHECKPOINT, question, n)[0] for n in (3, 5))
    assert thoughts_trained(CHECKPOINT) == 3 and len(many["answers"]) == 6
    for left, right in zip(few["thoughts"], many["thoughts"], strict=False):
        assert left["nodes"] == pytest.approx(right["nodes"], abs=1e-5)


def test_names_that_the_model_lacks_are_replaced() -> None:
    text = "Zoe is a cat. Every cat is a rempus. Eva is a fish. Is Zoe a rempus or a fish?"
    _, note = read(CHECKPOINT, Question.of(parse_problem(text)), 3)
    assert "cat → " in note and "rempus →" not in note
    facts = " ".join(f"| Tom c{i}" for i in range(40))
    many = Question.of(parse_problem(f"{facts} | Eva d [Q] c1 d [R] Tom"))
    with pytest.raises(ProblemError, match="has words for"):
        read(CHECKPOINT, many, 3)


def test_what_a_model_can_be_read_through() -> None:
    assert readings_through(CHECKPOINT) == ["head", 1, "<eot>"]
    with pytest.raises(ValueError, match="no layer 7"):
        read(CHECKPOINT, Question.of(generate_prosqa(1, 9)[0]), 3, 7)
