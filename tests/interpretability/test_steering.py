"""Steering: what is fed, what counts as done, one step of the search by hand, its refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from explorer_models import random_checkpoint

from coconut_lab import Curriculum, generate, generate_prosqa, load
from coconut_lab.interpretability.interventions import change, compare_edits
from coconut_lab.interpretability.steering import (
    FLOWS,
    as_far,
    controls,
    flow,
    flow_done,
    random_like,
    search_direction,
    steer,
    temper,
)
from coconut_lab.interpretability.thinking import think
from coconut_lab.interpretability.values import node_values
from coconut_lab.model.outputs import ModelError

CHECKPOINT = random_checkpoint()
MODEL, CURRICULUM = CHECKPOINT.model, CHECKPOINT.curriculum
PROBLEMS = generate_prosqa(30, seed=5)
OWN = think(MODEL, PROBLEMS, CURRICULUM)  # (B, n, d)
MIXED = load("tiny-mixed")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fed(edit, k=1):
    """What an edit makes of thought k of all problems, given as it was."""
    return edit(k, OWN[:, k - 1], torch.arange(len(OWN)))


def test_vectors_are_added_in_their_dose_to_their_thoughts_alone():
    shared, each = drawn(2, 32), drawn(30, 2, 32)
    torch.testing.assert_close(fed(steer(shared, dose=-2.0), 2), OWN[:, 1] - 2 * shared[1])
    torch.testing.assert_close(fed(steer(each), 1), OWN[:, 0] + each[:, 0])
    for untouched in (steer(shared), steer(shared, 1, 2), steer(shared, dose=0)):
        torch.testing.assert_close(fed(untouched, 3), OWN[:, 2])
    torch.testing.assert_close(fed(steer(shared, 2), 1), OWN[:, 0])
    with pytest.raises(ModelError, match="a vector of 31 numbers cannot be added to thoughts of"):
        fed(steer(drawn(3, 31)))


def test_temperature_divides_the_logits():
    found = MODEL.head(fed(temper(MODEL, 4.0, 1)))
    torch.testing.assert_close(found, MODEL.head(OWN[:, 0]) / 4, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="temperature is 0"):
        temper(MODEL, 0)


@pytest.mark.parametrize("name", FLOWS)
def test_flows_write_their_nodes(name):
    weight = MODEL.language_model.get_input_embeddings().weight
    for problem, h, new in zip(PROBLEMS, OWN[:, 0], fed(flow(MODEL, PROBLEMS, name)), strict=True):
        graph = problem.graph
        far = graph.distances(graph.root)
        nodes = {
            "continue": [i for i, hops in enumerate(far) if hops == 2],
            "backtrack": [graph.root],
            "branch": list(graph.children(graph.root)),
            "encapsulate": [i for i, hops in enumerate(far) if hops and i != graph.target],
        }[name]
        ids = MODEL.tokenizer.convert_tokens_to_ids([graph.names[node] for node in nodes])
        mean = weight[ids].mean(0)
        torch.testing.assert_close(new, mean * h.norm() / mean.norm())
    half = fed(flow(MODEL, PROBLEMS, name, dose=0.5))
    torch.testing.assert_close(half, (OWN[:, 0] + fed(flow(MODEL, PROBLEMS, name))) / 2)
    with pytest.raises(ValueError, match="unknown flow 'wait'; choose from continue, backtrack"):
        flow(MODEL, PROBLEMS, "wait")


def test_flows_are_done_in_what_comes_next():
    """Of the next thought .9 and more go where backtrack and continue send it; chance does not."""
    model, curriculum = MIXED.model, MIXED.curriculum
    problems = generate_prosqa(100, 8, hops=3)
    for name, least in (("backtrack", 0.9), ("continue", 0.7)):
        edit = flow(model, problems, name)
        steered = flow_done(model, problems, curriculum, name, edit=edit)
        assert steered.mean() > least
        for other in (None, as_far(edit)):
            assert flow_done(model, problems, curriculum, name, edit=other).mean() < 0.2
    values = node_values(model, problems, curriculum, 2, edit=flow(model, problems, "branch"))
    second = values[values.thought == 2].pivot(index="problem", columns="node", values="value")
    found = flow_done(model, problems, curriculum, "branch", edit=flow(model, problems, "branch"))
    for problem, done, value in zip(problems, found, second.to_numpy(), strict=True):
        parents = sorted(problem.graph.children(problem.graph.root))
        masses = []
        for node in parents:
            others = {c for p in parents if p != node for c in problem.graph.children(p)}
            if own := [c for c in problem.graph.children(node) if c not in others]:
                masses.append(value[own].sum())
        assert math.isnan(done) if len(masses) < 2 else done == (sum(np.array(masses) > 0.1) > 1)
    two = generate_prosqa(5, 8, hops=2)
    assert np.isnan(flow_done(model, two, curriculum, "continue")).all()
    assert set(flow_done(model, two, curriculum, "encapsulate", 2)) <= {0.0, 1.0}


def test_controls_are_as_long_as_what_they_control():
    vectors = drawn(3, 32, seed=5) * torch.tensor([[1.0], [2.0], [0.0]])
    table = controls(vectors, doses=(-1, 0.5), random=2)
    assert list(table) == ["× -1", "× 0.5", "random 0", "random 1"]
    torch.testing.assert_close(fed(table["× -1"]), OWN[:, 0] - vectors[0])
    for seed in (0, 1):
        random = random_like(vectors[:2], seed)
        torch.testing.assert_close(random.norm(dim=1), vectors[:2].norm(dim=1))
        assert (torch.cosine_similarity(random, vectors[:2]).abs() < 0.7).all()
    edit = flow(MODEL, PROBLEMS, "continue")
    moved = fed(as_far(edit)) - OWN[:, 0]
    torch.testing.assert_close(moved.norm(dim=1), (fed(edit) - OWN[:, 0]).norm(dim=1))
    assert torch.equal(moved, fed(as_far(edit)) - OWN[:, 0]) and moved.T.corrcoef().abs().mean() < 1


def is_right(problem, answer):
    return float(answer == problem.answer)


def test_the_first_step_is_that_of_a_rollout_by_hand():
    """Adam's first step is `rate` along the sign of the gradient, whatever its length."""
    model, curriculum = MIXED.model, MIXED.curriculum
    problems = generate_prosqa(20, 3, hops=(1, 3))
    found = search_direction(
        model, problems, curriculum, is_right, 4, steps=1, at_once=3, group=5, seed=7, noise=1.5
    )
    generator = torch.Generator().manual_seed(7)
    asked = torch.randint(20, (3,), generator=generator).tolist()
    noise = torch.randn(15, 4, 64, generator=generator).numpy()
    mark = model.tokenizer("###").input_ids
    rewards, gradient = np.zeros((3, 5)), np.zeros((4, 64))
    for place, number in enumerate(asked):
        prompt = [*curriculum.prompt(problems[number], model.tokenizer, 0)[:-1]]
        prompt += [model.tokens.thought] * 4 + [model.tokens.eot, *mark]
        for sample in range(5):
            add = torch.tensor(1.5 * noise[5 * place + sample])
            edit = change(lambda k, h, rows, add=add: h + add[k - 1])
            (one,) = generate(model, model.tokenizer, [prompt], 3, edit=edit)
            rewards[place, sample] = one.finished and one.text == problems[number].answer
    assert rewards.std(1).max() > 0
    for place in range(3):
        for sample in range(5):
            spread = rewards[place].std(ddof=1) + 1e-6
            advantage = (rewards[place, sample] - rewards[place].mean()) / spread
            gradient += advantage * noise[5 * place + sample]
    np.testing.assert_allclose(found.vectors.numpy(), 0.03 * np.sign(gradient), atol=1e-4)
    assert found.rewards == [pytest.approx(rewards.mean())]


def test_a_search_learns_what_is_rewarded_keeps_its_budget_and_leaves_the_model_alone():
    model, curriculum = MIXED.model, MIXED.curriculum
    weights = [weight.clone() for weight in model.parameters()]
    problems, unseen = (generate_prosqa(n, seed, hops=(1, 3)) for n, seed in ((300, 4), (200, 9)))
    steps = []
    how = {"steps": 40, "at_once": 12, "rate": 0.1, "budget": 0.3, "seed": 2}

    def wrong(problem, answer):
        return 1 - is_right(problem, answer)

    found = search_direction(
        model, problems, curriculum, wrong, 4, progress=lambda *now: steps.append(now), **how
    )
    assert steps == list(enumerate(found.rewards, start=1))
    again = search_direction(model, problems, curriculum, wrong, 4, **how | {"steps": 3})
    assert again.rewards == found.rewards[:3]
    lengths = think(model, problems, curriculum, 4).norm(dim=-1).mean(0)
    assert (found.vectors.norm(dim=1) <= 0.305 * lengths).all()
    shuffled = search_direction(model, problems, curriculum, wrong, 4, shuffled=True, **how)
    ceiling = search_direction(model, problems, curriculum, None, 4, **how | {"at_once": 64})
    edits = {"found": found, "shuffled": shuffled, "ceiling": ceiling}
    table = compare_edits(
        model, unseen, curriculum, {name: steer(one.vectors) for name, one in edits.items()}, 4
    )
    right = table.right
    assert right["found"] < min(right["none"], right["shuffled"]) - 0.05
    assert right["ceiling"] > right["none"] + 0.08 and ceiling.rewards[-1] > ceiling.rewards[0]
    for before, after in zip(weights, model.parameters(), strict=True):
        assert torch.equal(before, after) and after.grad is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": lambda problem, answer: 0.3}, "in 2 steps no two answers to one problem got"),
        ({"reward": lambda problem, answer: math.nan}, "the reward of an answer is no finite numb"),
        ({"budget": 0}, "budget is 0, noise 0.4; with 0 there is nothing to search"),
        ({"noise": 0}, "budget is 0.5, noise 0; with 0"),
        ({"count": 0}, "nothing is fed back here"),
        ({"steps": 0}, "steps is 0"),
        ({"group": 1}, "group is 1; it must be 2 or more"),
        ({"curriculum": Curriculum("pause_as_thought", max_stage=3)}, "nothing is fed back here"),
        ({"curriculum": Curriculum("cot")}, "the method 'cot' has no thoughts"),
    ],
)
def test_searches_that_cannot_find_anything_are_refused(change, message):
    given = {"model": MODEL, "problems": PROBLEMS, "curriculum": CURRICULUM, "reward": is_right}
    with pytest.raises(ValueError, match=message):
        search_direction(**given | {"steps": 2, "at_once": 2, "group": 2} | change)
