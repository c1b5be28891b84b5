"""Reading thoughts: against plain computation on single rows, and what it refuses."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from explorer_models import random_checkpoint, spelling_checkpoint

from coconut_lab.checkpoints import shipped as checkpoints
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.interpretability.probing import (
    forced_answers,
    frontier_mass,
    on_shortest_paths,
    probe,
    read_thoughts,
)
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.problems import Problem, ProblemError, parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa

CHECKPOINT = random_checkpoint()
MODEL, TOKENIZER, CURRICULUM = CHECKPOINT.model, CHECKPOINT.tokenizer, CHECKPOINT.curriculum
PROBLEMS = generate_prosqa(12, seed=5)


def ids(*names):
    return TOKENIZER.convert_tokens_to_ids(list(names))


def test_a_thought_is_the_hidden_state_before_its_placeholder() -> None:
    """Thought 1 is the state at <bot>; thought 2 the state where thought 1 was fed back."""
    problem = PROBLEMS[0]
    prompt = TOKENIZER(problem.question).input_ids + ids("<bot>")
    with torch.no_grad():
        embeds = MODEL.embed(torch.tensor([prompt]))
        first = MODEL.backbone(inputs_embeds=embeds).last_hidden_state[:, -1:]
        embeds = torch.cat([embeds, first], dim=1)
        second = MODEL.backbone(inputs_embeds=embeds).last_hidden_state[:, -1:]
        wanted = MODEL.head(torch.cat([first, second], dim=1)[0]).softmax(-1)
    (thoughts,) = read_thoughts(MODEL, TOKENIZER, [problem], CURRICULUM)
    for thought, row in zip(thoughts, wanted, strict=False):
        assert thought.nodes == pytest.approx(row[ids(*problem.graph.names)].tolist(), abs=1e-6)
        best = row.topk(5)
        assert [word.text for word in thought.words] == TOKENIZER.convert_ids_to_tokens(
            best.indices
        )
        assert [w.probability for w in thought.words] == pytest.approx(
            best.values.tolist(), abs=1e-6
        )


def test_masses_are_sums_over_nodes_and_come_with_their_control() -> None:
    for reading in probe(MODEL, TOKENIZER, PROBLEMS, CURRICULUM):
        graph = reading.problem.graph
        on_paths = {node for path in graph.shortest_paths() for node in path}
        assert on_shortest_paths(graph) == on_paths
        assert [thought.number for thought in reading.thoughts] == [1, 2, 3]
        for thought in reading.thoughts:
            frontier = graph.frontier(thought.number)
            assert thought.hop == thought.number
            assert len(thought.nodes) == len(graph.names)
            assert sum(thought.nodes) <= 1 + 1e-6
            assert thought.frontier == pytest.approx(sum(thought.nodes[n] for n in frontier))
            assert thought.paths == pytest.approx(sum(thought.nodes[n] for n in on_paths))
            assert thought.uniform_frontier == len(frontier) / len(graph.names)
            assert thought.uniform_paths == len(on_paths) / len(graph.names)
            for word in thought.words:
                named = word.text in graph.names
                assert word.node == (graph.names.index(word.text) if named else None)


def test_forced_answers_are_next_token_probabilities() -> None:
    tokens = thought_tokens(TOKENIZER)
    for problem, answers in zip(
        PROBLEMS, forced_answers(MODEL, TOKENIZER, PROBLEMS, CURRICULUM), strict=True
    ):
        graph = problem.graph
        assert [answer.thoughts for answer in answers] == [0, 1, 2, 3]
        for answer in answers:
            row = TOKENIZER(problem.question).input_ids
            row += [tokens.bot, *[tokens.thought] * answer.thoughts, tokens.eot, *ids("###")]
            with torch.no_grad():
                hidden = MODEL.latent_states(torch.tensor([row])).hidden[0, -1]
            wanted = MODEL.head(hidden).softmax(-1)
            target, distractor = ids(graph.names[graph.target], graph.names[graph.distractor])
            assert answer.target == pytest.approx(wanted[target].item(), abs=1e-6)
            assert answer.distractor == pytest.approx(wanted[distractor].item(), abs=1e-6)


def test_prompts_are_those_of_the_curriculum() -> None:
    """The rows that are probed are those that the model is scored on."""
    seen = []

    class Recorder(torch.nn.Module):
        def __getattr__(self, name):
            return getattr(MODEL, name)

        def latent_states(self, input_ids, *arguments, **options):
            seen.append(input_ids[0].tolist())
            return MODEL.latent_states(input_ids, *arguments, **options)

    read_thoughts(Recorder(), TOKENIZER, PROBLEMS[:1], CURRICULUM)
    assert seen == [CURRICULUM.prompt(PROBLEMS[0], TOKENIZER, 3)]


def test_batches_change_nothing() -> None:
    together = probe(MODEL, TOKENIZER, PROBLEMS, CURRICULUM)
    for size in (1, 5):
        for one, other in zip(
            probe(MODEL, TOKENIZER, PROBLEMS, CURRICULUM, batch_size=size), together, strict=True
        ):
            assert one.problem is other.problem
            for a, b in zip(one.thoughts, other.thoughts, strict=True):
                assert a.nodes == pytest.approx(b.nodes, abs=1e-5)
            for a, b in zip(one.answers, other.answers, strict=True):
                assert dataclasses.astuple(a) == pytest.approx(dataclasses.astuple(b), abs=1e-5)


def test_several_thoughts_per_step_share_a_frontier() -> None:
    curriculum = Curriculum("coconut", max_stage=2, thoughts_per_step=2)
    (reading,) = probe(MODEL, TOKENIZER, PROBLEMS[:1], curriculum)
    assert [thought.hop for thought in reading.thoughts] == [1, 1, 2, 2]
    assert [answer.thoughts for answer in reading.answers] == [0, 1, 2, 3, 4]


def test_frontier_mass_counts_problems_that_are_long_enough() -> None:
    masses = frontier_mass(MODEL, TOKENIZER, PROBLEMS, CURRICULUM, batch_size=7)
    assert [mass.number for mass in masses] == [1, 2, 3]
    read = read_thoughts(MODEL, TOKENIZER, PROBLEMS, CURRICULUM)
    for k, mass in enumerate(masses, start=1):
        counted = [
            (thoughts[k - 1], problem.graph)
            for thoughts, problem in zip(read, PROBLEMS, strict=True)
            if problem.graph.hops >= k
        ]
        assert mass.problems == len(counted)
        assert mass.mass == pytest.approx(
            math.fsum(thought.frontier for thought, _ in counted) / len(counted), abs=1e-5
        )
        assert mass.uniform == pytest.approx(
            sum(len(graph.frontier(k)) / len(graph.names) for _, graph in counted) / len(counted)
        )
    assert masses[2].problems < len(PROBLEMS)


def test_frontier_mass_of_short_problems_stops_where_they_do() -> None:
    two_hops = generate_prosqa(3, seed=1, hops=2)
    assert len(frontier_mass(MODEL, TOKENIZER, two_hops, CURRICULUM)) == 2


# --- tokenizers with several tokens per name ----------------------------------------------------


@pytest.fixture(scope="module")
def spelling():
    return spelling_checkpoint().model


ENGLISH = parse_problem(
    "Tom is a wumpus. Every wumpus is a zorkus. Eva is a fish. Is Tom a zorkus or a fish?"
)


def test_an_option_of_several_tokens_has_the_product_of_their_probabilities(spelling) -> None:
    tokenizer, tokens = spelling.tokenizer, thought_tokens(spelling.tokenizer)
    (answers,) = forced_answers(spelling, tokenizer, [ENGLISH], CURRICULUM)
    start = tokenizer(ENGLISH.question + "\n").input_ids
    start += [tokens.bot, tokens.thought, tokens.thought, tokens.eot]
    start += tokenizer("### Tom is a").input_ids
    for name, found in (("zorkus", answers[2].target), ("fish", answers[2].distractor)):
        name_ids = tokenizer(f" {name}").input_ids
        assert len(name_ids) > 1
        with torch.no_grad():
            logits = spelling(torch.tensor([start + name_ids])).logits[0].log_softmax(-1)
        wanted = sum(logits[len(start) - 1 + i, token].item() for i, token in enumerate(name_ids))
        assert found == pytest.approx(math.exp(wanted), rel=1e-3)


def test_names_that_begin_alike_share_their_probability(spelling) -> None:
    tokenizer = spelling.tokenizer
    problem = parse_problem(
        "Tom is a wumpus. Every wumpus is a wurst. Eva is a fish. Is Tom a wurst or a fish?"
    )
    firsts = [tokenizer(f" {name}").input_ids[0] for name in problem.graph.names]
    assert len(set(firsts)) < len(firsts)
    # More words than there are: all of them. A token that begins several names is the first's.
    (thoughts,) = read_thoughts(spelling, tokenizer, [problem], CURRICULUM, top=10**6)
    for thought in thoughts:
        assert len(thought.words) == spelling.language_model.config.vocab_size
        nodes = {word.node for word in thought.words} - {None}
        assert nodes == {firsts.index(first) for first in firsts}
        assert sum(thought.nodes) <= 1 + 1e-6
        alike = [p for p, first in zip(thought.nodes, firsts, strict=True) if first == firsts[1]]
        assert len(alike) > 1
        assert alike == pytest.approx([alike[0]] * len(alike))


# --- what is refused ----------------------------------------------------------------------------


def test_nothing_to_probe_gives_nothing() -> None:
    assert probe(MODEL, TOKENIZER, [], CURRICULUM) == []


def test_a_problem_without_a_graph_is_refused() -> None:
    with pytest.raises(ProblemError, match="no.* graph|has none"):
        probe(MODEL, TOKENIZER, [Problem("2 + 2", ("4",), "4")], CURRICULUM)


def test_a_method_without_thoughts_is_refused() -> None:
    with pytest.raises(ValueError, match="'cot' has no thoughts"):
        probe(MODEL, TOKENIZER, PROBLEMS, Curriculum("cot"))


def test_an_unknown_word_is_named() -> None:
    with pytest.raises(ProblemError, match="zorkus"):
        probe(MODEL, TOKENIZER, [ENGLISH.in_symbols()], CURRICULUM)


def test_too_many_positions_are_refused() -> None:
    small = random_checkpoint(positions=30)
    with pytest.raises(ModelError, match="positions"):
        probe(small.model, small.tokenizer, PROBLEMS, small.curriculum)


# --- the model that ships -----------------------------------------------------------------------


@pytest.mark.skipif("tiny-coconut" not in checkpoints.names(), reason="not built yet")
def test_the_shipped_model_holds_the_frontier() -> None:
    shipped = checkpoints.load("tiny-coconut")
    problems = generate_prosqa(200, seed=4321)
    first, second, *_ = frontier_mass(
        shipped.model, shipped.tokenizer, problems, shipped.curriculum
    )
    assert first.mass >= 0.95
    assert second.mass >= 0.80
    assert max(first.uniform, second.uniform) < 0.3
