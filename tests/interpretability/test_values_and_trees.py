"""Thoughts as tables: against one row at a time without a cache, and against figures by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from explorer_models import random_checkpoint, spelling_checkpoint
from oracle import latent_row, logits_of
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from coconut_lab import Curriculum, Graph, Problem, ProblemError, load
from coconut_lab.interpretability.attention import fact_attention
from coconut_lab.interpretability.geometry import geometry
from coconut_lab.interpretability.search_tree import best_ends, interpolate, search_tree
from coconut_lab.interpretability.thinking import think, untrained
from coconut_lab.interpretability.values import (
    CONTROLS,
    by_group,
    by_height,
    evenness,
    frontier_mass,
    masses,
    node_values,
    parallelism,
)
from coconut_lab.tasks.problems import parse_problem
from coconut_lab.tasks.prosqa import generate_prosqa
from minimal_coconut import think_without_cache

CHECKPOINT = random_checkpoint()
MODEL, CURRICULUM = CHECKPOINT.model, CHECKPOINT.curriculum
TOKENIZER = MODEL.tokenizer
PROBLEMS = generate_prosqa(8, seed=5)


def ids(*words):
    return TOKENIZER.convert_tokens_to_ids(list(words))


def row_of(problem, count, *after):
    question = TOKENIZER(problem.question).input_ids
    return [*question, *ids("<bot>"), *ids("<thought>") * count, *ids(*after)]


@torch.no_grad()
def naive(problem, count):
    """Thoughts (n, d) and the values of all nodes after each, without batches or cache."""
    row = row_of(problem, count, "<eot>")
    thoughts, _ = latent_row(MODEL.language_model, row, *ids("<thought>"))
    tables = MODEL.head(thoughts).softmax(-1)
    return thoughts, tables[:, ids(*problem.graph.names)]


def test_thoughts_and_values_are_those_of_single_rows():
    thoughts = think(MODEL, PROBLEMS, CURRICULUM, 3, batch_size=3)
    values = node_values(MODEL, PROBLEMS, CURRICULUM, 3)
    for number, problem in enumerate(PROBLEMS):
        vectors, table = naive(problem, 3)
        torch.testing.assert_close(thoughts[number], vectors, atol=1e-5, rtol=0)
        here = values[values.problem == number].pivot(
            index="thought", columns="node", values="value"
        )
        np.testing.assert_allclose(here.to_numpy(), table.numpy(), atol=1e-6)


def test_after_eot_the_next_word_counts_and_its_hop_is_one_more():
    values = node_values(MODEL, PROBLEMS[:3], CURRICULUM, 2, through="<eot>")
    assert sorted(values.thought.unique()) == [0, 1, 2]
    assert (values.hop == values.thought + 1).all()
    for (number, k), rows in values.groupby(["problem", "thought"]):
        problem = PROBLEMS[number]
        with torch.no_grad():
            _, logits = latent_row(
                MODEL.language_model, row_of(problem, k, "<eot>"), *ids("<thought>")
            )
        wanted = logits[-1].softmax(-1)[ids(*problem.graph.names)]
        np.testing.assert_allclose(rows.value, wanted.numpy(), atol=1e-6)


def test_the_last_layer_is_the_bare_thought_and_the_first_is_the_embedding():
    layers = MODEL.config.num_hidden_layers
    whole = think(MODEL, PROBLEMS, CURRICULUM, 2)
    torch.testing.assert_close(think(MODEL, PROBLEMS, CURRICULUM, 2, layer=layers), whole)
    first = think(MODEL, PROBLEMS, CURRICULUM, 2, layer=0)
    with torch.no_grad():
        bot = MODEL.backbone.norm(MODEL.embed(torch.tensor(ids("<bot>"))))
    torch.testing.assert_close(first[:, 0], bot.expand(len(PROBLEMS), -1))
    with pytest.raises(ValueError, match=f"layer 9 of a model with {layers}; give 0 to {layers}"):
        think(MODEL, PROBLEMS, CURRICULUM, 2, layer=9)


def test_columns_about_nodes_are_those_of_the_graph():
    values = node_values(MODEL, PROBLEMS, CURRICULUM, 3)
    for row in values.sample(60, random_state=0).itertuples():
        graph: Graph = PROBLEMS[row.problem].graph
        assert row.name == graph.names[row.node]
        assert row.frontier == (row.node in graph.frontier(row.thought))
        assert row.reachable == (graph.distances(graph.root)[row.node] is not None)
        assert row.leads_on == (graph.distances(row.node)[graph.target] is not None)
        assert (row.shortest, row.longest) == (
            graph.height(row.node),
            graph.height(row.node, "longest"),
        )


@pytest.mark.parametrize("control", CONTROLS)
def test_controls(control):
    values = node_values(MODEL, PROBLEMS, CURRICULUM, 2)
    other = node_values(MODEL, PROBLEMS, CURRICULUM, 2, control=control)
    assert other.drop(columns="value").equals(values.drop(columns="value"))
    groups = [frame.groupby(["problem", "thought"]).value for frame in (values, other)]
    if control == "uniform":
        assert (other.value == 1 / 10).all()
    elif control == "shuffled names":
        for (_, mine), (_, theirs) in zip(*groups, strict=True):
            assert sorted(mine) == sorted(theirs)
        assert not np.allclose(values.value, other.value)
    else:
        thoughts, _ = naive(PROBLEMS[1], 2)
        with torch.no_grad():
            table = MODEL.head(thoughts).softmax(-1)[:, ids(*PROBLEMS[0].graph.names)]
        np.testing.assert_allclose(other[other.problem == 0].value, table.flatten(), atol=1e-6)


def table_of(shares, *, size=4, hops=2, leads_on=None):
    """A frame of one thought per problem over `size` nodes, whose first ones are the frontier."""
    rows = []
    for number, row in enumerate(shares):
        for node in range(size):
            value = row[node] if node < len(row) else 0.0
            right = leads_on[number][node] if leads_on and node < len(row) else False
            rows.append(
                {
                    "problem": number, "thought": 1, "node": node, "value": value, "hop": 1,
                    "hops": hops, "frontier": node < len(row), "reachable": node < 3,
                    "on_path": node == 0, "leads_on": right, "shortest": node, "longest": node,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_figures_by_hand():
    values = table_of([(0.5, 0.3), (0.4, 0.4)], leads_on=[(True, False), (False, True)])
    found = masses(values).loc[1]
    assert found.frontier == pytest.approx(0.8) and found.on_path == pytest.approx(0.45)
    assert found.elsewhere == pytest.approx(0.2) and found.n == 2
    assert found["on_path ±"] == pytest.approx(1.959964 * np.std([0.5, 0.4], ddof=1) / 2**0.5)
    even = evenness(values).loc[1, 2]
    entropy = -(0.625 * np.log(0.625) + 0.375 * np.log(0.375))
    assert even.branches == pytest.approx((np.exp(entropy) + 2) / 2)
    assert even.smallest == pytest.approx((0.375 + 0.5) / 2) and even.held == 1
    heights = by_height(values)
    assert heights.loc[(1, True, 0), "relative"] == pytest.approx(1.25)
    top = parallelism(values, percentiles=(0, 100))
    assert top.loc[(1, 1)].tolist() == pytest.approx([0.4, 0.5])
    assert top.loc[(1, 2)].tolist() == pytest.approx([0.8, 0.8])


def test_past_its_target_a_problem_no_longer_counts():
    values = node_values(MODEL, PROBLEMS, CURRICULUM, 3)
    hops = [problem.graph.hops for problem in PROBLEMS]
    assert masses(values).n.to_dict() == {k: sum(h >= k for h in hops) for k in (1, 2, 3)}


def test_the_tree_multiplies_chances_and_drops_thin_branches():
    problem = PROBLEMS[0]
    tree = search_tree(MODEL, [problem], CURRICULUM, 1, depth=2, threshold=0.02)
    assert tree.value.min() >= 0.02 and set(tree.depth) <= {1, 2}
    names = problem.graph.names
    prefix = think_without_cache(
        MODEL.language_model, row_of(problem, 1, "<eot>"), *ids("<thought>")
    )
    for branch in tree.itertuples():
        value = 1.0
        for depth, node in enumerate(branch.path):
            said = ids(*(names[n] for n in branch.path[:depth]))
            with torch.no_grad():
                chances = logits_of(MODEL.language_model, prefix, said)[-1].softmax(-1)
            value *= chances[ids(names[node])].item()
        assert branch.value == pytest.approx(value, abs=1e-6)


def test_the_best_path_is_the_most_valuable_one_that_the_answer_follows():
    rows = [(0, "a", 0.9, 0.1), (0, "b", 0.4, 0.5), (0, "c", 0.3, np.nan), (2, "d", 0.1, np.nan)]
    tree = pd.DataFrame(rows, columns=["problem", "name", "value", "answers"])
    assert best_ends(tree).to_dict() == {0: "b"}  # .20 against .09; problem 2 has no whole path


def test_interpolation_of_a_shipped_model_moves_from_paths_to_labels():
    shipped = load("tiny-mixed")
    problems = generate_prosqa(100, 4242)
    found = interpolate(shipped.model, problems, shipped.curriculum, 3)
    assert (found.drop(columns="answer right").sum(axis=1) == 100).all()
    assert found.loc[0, "Correct Path"] > 40 and found.loc[3, "Correct Label"] > 80
    assert found.loc[3, "Wrong Target"] <= found.loc[0, "Wrong Target"]


def test_geometry_against_plain_least_squares():
    found = geometry(MODEL, PROBLEMS, CURRICULUM, 2)
    thoughts = think(MODEL, PROBLEMS, CURRICULUM, 2)
    assert found.loc[1, "norm"] == pytest.approx(thoughts[:, 0].norm(dim=1).mean().item())
    weight = MODEL.language_model.get_input_embeddings().weight.detach()
    names = sorted({name for problem in PROBLEMS for name in problem.graph.names})
    middle = weight[ids(*names)].mean(0)
    shares = []
    for problem, thought in zip(PROBLEMS, thoughts[:, 1] - thoughts[:, 1].mean(0), strict=True):
        frontier = [problem.graph.names[n] for n in problem.graph.frontier(2)]
        words = (weight[ids(*frontier)] - middle).T.numpy()
        _, rest, *_ = np.linalg.lstsq(words, thought.numpy(), rcond=None)
        shares.append(1 - rest.sum() / (thought**2).sum().item())
    assert found.loc[2, "frontier"] == pytest.approx(np.mean(shares), abs=1e-4)
    assert np.isnan(found.loc[2, "cosine next"])


def test_attention_to_facts_is_that_of_one_pass_over_the_thoughts():
    found = fact_attention(MODEL, PROBLEMS[:3], CURRICULUM, 2, layer=0, batch_size=2)
    config = MODEL.config
    for number, problem in enumerate(PROBLEMS[:3]):
        row = row_of(problem, 2)
        with torch.no_grad():
            inputs = think_without_cache(MODEL.language_model, row, *ids("<thought>"))
            layer = MODEL.backbone.layers[0]
            hidden = layer.input_layernorm(inputs[None])
            heads = (1, len(row), -1, config.head_dim)
            query, key = (
                project(hidden).view(heads).transpose(1, 2)
                for project in (layer.self_attn.q_proj, layer.self_attn.k_proj)
            )
            turn = MODEL.backbone.rotary_emb(hidden, torch.arange(len(row))[None])
            query, key = apply_rotary_pos_emb(query, key, *turn)
            scores = query @ key.transpose(2, 3) / config.head_dim**0.5
            scores = scores.masked_fill(torch.ones(len(row), len(row)).triu(1).bool(), -torch.inf)
            weights = scores.softmax(-1)[0].mean(0)  # (T, T)
        for k in (1, 2):
            column = len(row) - 3 + k
            wanted = [
                weights[column, 3 * n + 1 : 3 * n + 4].sum().item()
                for n in range(len(problem.graph.edges))
            ]
            mine = found[(found.problem == number) & (found.thought == k)].value
            np.testing.assert_allclose(mine, wanted, atol=1e-5)


def test_groups_by_hand():
    values = table_of([(0.5, 0.3), (0.4, 0.4)]).assign(distance=[1, 1, 0, np.nan] * 2)
    found = by_group(values)["mean"].loc[1]
    assert found.round(6).to_dict() == {
        "optimal": 0.45, "frontier": 0.35, "reachable": 0.0, "not reachable": 0.0
    }  # fmt: skip


def test_in_tiny_coconut_thoughts_look_at_the_facts_of_their_frontier():
    shipped = load("tiny-coconut")
    problems = generate_prosqa(100, 4242)
    groups = by_group(fact_attention(shipped.model, problems, shipped.curriculum))["mean"]
    products = by_group(
        node_values(shipped.model, problems, shipped.curriculum, through="inner product")
    )["mean"]
    for found in (groups.loc[1], groups.loc[2], products.loc[1], products.loc[2]):
        assert found["frontier"] > 3 * max(found["reachable"], found["not reachable"])


def test_untrained_weights_are_others_and_repeat():
    one, same, other = (untrained(MODEL, seed) for seed in (0, 0, 1))
    weights = [model.language_model.lm_head.weight for model in (one, same, other, MODEL)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[3])


def test_frontier_mass_is_the_short_of_the_tables():
    values = node_values(MODEL, PROBLEMS, CURRICULUM)
    control = masses(node_values(MODEL, PROBLEMS, CURRICULUM, control="uniform"))
    for one, row in zip(
        frontier_mass(MODEL, TOKENIZER, PROBLEMS, CURRICULUM), masses(values).itertuples(),
        strict=True,
    ):  # fmt: skip
        assert (one.number, one.hop, one.problems) == (row.Index, row.Index, row.n)
        assert one.mass == pytest.approx(row.frontier)
        assert one.uniform == pytest.approx(control.frontier[one.number])


def test_thoughts_of_one_step_share_a_frontier():
    values = node_values(MODEL, PROBLEMS, Curriculum("coconut", max_stage=2, thoughts_per_step=2))
    assert values.groupby("thought").hop.unique().map(list).to_list() == [[1], [1], [2], [2]]


def test_names_that_begin_alike_share_their_probability():
    spelling = spelling_checkpoint()
    graph = Graph(("Tom", "Eva", "lempus", "zq", "zv"), ((0, 2), (1, 3), (1, 4)), 0, 2, 4)
    text = "Tom is a lempus. Eva is a zq. Eva is a zv. Is Tom a lempus or zv?"
    problem = Problem(text, ("Tom is a lempus.",), "Tom is a lempus.", graph)
    values = node_values(spelling.model, [problem], spelling.curriculum, 1).set_index("name").value
    before = len(spelling.tokenizer("Every").input_ids)
    firsts = {n: spelling.tokenizer(f"Every {n}").input_ids[before] for n in graph.names}
    thoughts = think(spelling.model, [problem], spelling.curriculum, 1)
    with torch.no_grad():
        row = spelling.model.head(thoughts[0, 0]).softmax(-1)
    owners = list(firsts.values())
    assert firsts["zq"] == firsts["zv"] != firsts["lempus"]
    for name, token in firsts.items():
        assert values[name] == pytest.approx(row[token].item() / owners.count(token), rel=1e-4)


def test_a_problem_without_a_graph_and_a_word_that_is_unknown():
    with pytest.raises(ProblemError, match="no graph"):
        node_values(MODEL, [Problem("2 + 2", ("4",), "4")], CURRICULUM)
    cat = parse_problem("| Tom cat | Eva yumpus [Q] cat yumpus [R] Tom")
    with pytest.raises(ProblemError, match="does not know the word 'cat'"):
        node_values(MODEL, [cat], CURRICULUM)


def test_what_is_refused():
    with pytest.raises(ValueError, match="unknown control 'noise'; choose from another problem"):
        node_values(MODEL, PROBLEMS, CURRICULUM, control="noise")
    with pytest.raises(ValueError, match="give 'head', 'inner product', '<eot>' or the number"):
        node_values(MODEL, PROBLEMS, CURRICULUM, through="tail")
    cot = load("tiny-cot")
    with pytest.raises(ValueError, match="the method 'cot' has no thoughts to look into"):
        node_values(cot.model, PROBLEMS, cot.curriculum)


def test_names_of_several_tokens_are_multiplied_out():
    spelling = spelling_checkpoint()
    problem = generate_prosqa(1, seed=3, notation="english")[0]
    values = node_values(spelling.model, [problem], spelling.curriculum, 1, through="<eot>")
    assert (values.hop == values.thought).all()  # a step in English starts where it was
    tokenizer = spelling.tokenizer
    head = tokenizer(problem.question + "\n").input_ids
    head += tokenizer.convert_tokens_to_ids(["<bot>", "<thought>", "<eot>"])
    before = tokenizer("Every").input_ids
    inputs = think_without_cache(
        spelling.model.language_model, head, tokenizer.convert_tokens_to_ids("<thought>")
    )
    for row in values[values.thought == 1].itertuples():
        said, value = list(before), 1.0
        for token in tokenizer(f"Every {row.name}").input_ids[len(before) :]:
            with torch.no_grad():
                chances = logits_of(spelling.model.language_model, inputs, said)[-1].softmax(-1)
            value *= chances[token].item()
            said.append(token)
        assert row.value == pytest.approx(value, rel=1e-3)
