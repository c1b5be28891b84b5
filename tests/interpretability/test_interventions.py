"""Edits of thoughts: what they feed, what they leave alone, what is known of a shipped model."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from explorer_models import random_checkpoint, spelling_checkpoint

from coconut_lab import ProblemError, generate, generate_prosqa, load, rewire, twin
from coconut_lab.interpretability.interventions import (
    PART,
    change,
    compare_edits,
    donors,
    holm,
    name_basis,
    outcomes,
    put,
    random_basis,
    rename_thoughts,
    set_words,
    split,
    with_logits,
    write_words,
)
from coconut_lab.interpretability.staircase import staircase, twin_columns
from coconut_lab.interpretability.thinking import think
from coconut_lab.tasks.counterfactuals import renamed, rewirable
from coconut_lab.tasks.problems import Graph, Problem
from coconut_lab.training.recipe import ModelPart
from coconut_lab.training.start import new_model

CHECKPOINT = random_checkpoint()
MODEL, CURRICULUM = CHECKPOINT.model, CHECKPOINT.curriculum
PROBLEMS = generate_prosqa(160, seed=5)
NAMES = sorted({name for problem in PROBLEMS for name in problem.graph.names})


def fed(edit, count=3):
    """What an edit feeds as thoughts, (B, n, d)."""
    prompts = [CURRICULUM.prompt(problem, MODEL.tokenizer, count) for problem in PROBLEMS]
    written = generate(
        MODEL, MODEL.tokenizer, prompts, 1, edit=edit, return_thoughts=True, batch_size=7
    )
    return torch.stack([one.thoughts for one in written])


@pytest.fixture(scope="module")
def given():
    return donors(MODEL, PROBLEMS, CURRICULUM)


def test_put_feeds_the_donor_there_and_nowhere_else(given):
    twins = given["twin"]
    found = fed(put(twins, 2))
    torch.testing.assert_close(found[:, 1], twins[:, 1])
    torch.testing.assert_close(found[:, 0], given["own"][:, 0], atol=1e-4, rtol=0)
    assert not torch.allclose(found[:, 2], twins[:, 2]) and not torch.allclose(
        found[:, 2], given["own"][:, 2]
    )
    torch.testing.assert_close(fed(put(twins)), twins)


def test_donors_are_what_they_are_called(given):
    own = given["own"]
    torch.testing.assert_close(own, fed(None), atol=1e-4, rtol=0)
    assert not given["zero"].any()
    torch.testing.assert_close(given["mean"][5], own.mean(0))
    torch.testing.assert_close(given["another problem"][1:], own[:-1])
    twins = think(MODEL, [twin(problem) for problem in PROBLEMS], CURRICULUM)
    torch.testing.assert_close(given["twin"], twins)
    for problem, donor in zip(PROBLEMS, given["same answer"], strict=True):
        (source,) = [i for i, other in enumerate(own) if torch.equal(other, donor)]
        other = PROBLEMS[source]
        assert (other.answer, other.graph.hops) == (problem.answer, problem.graph.hops)
        assert other != problem


def test_noise_has_the_mean_and_covariance_of_the_thoughts():
    shipped = load("tiny-coconut")
    found = donors(shipped.model, generate_prosqa(600, 7), shipped.curriculum)
    own, noise = found["own"][:, 0], found["noise"][:, 0]
    spread = own.std(0).mean()
    assert (own.mean(0) - noise.mean(0)).abs().max() < spread / 3
    ratio = torch.linalg.norm(own.T.cov() - noise.T.cov()) / torch.linalg.norm(own.T.cov())
    assert ratio < 0.5
    assert torch.nn.functional.cosine_similarity(own, noise).max() < 0.9


def test_many_problems_get_noise_in_parts(monkeypatch):
    """A part at a time is the same noise, and the table of pairs is never larger than a part."""
    whole = donors(MODEL, PROBLEMS, CURRICULUM)["noise"]
    asked, randn = [], torch.randn
    monkeypatch.setattr("coconut_lab.interpretability.interventions.PART", 48)
    monkeypatch.setattr(torch, "randn", lambda *s, **o: asked.append(s) or randn(*s, **o))
    torch.testing.assert_close(donors(MODEL, PROBLEMS, CURRICULUM)["noise"], whole)
    assert PART > 48 and asked == [(48, 160), (48, 160), (48, 160), (16, 160)]


def test_a_problem_without_a_twin_is_named():
    graph = Graph(("Tom", "Sally", "a", "b", "x"), ((0, 2), (2, 4), (1, 3)), 0, 4, 3)
    lonely = Problem("| Tom a | a x | Sally b [Q] b x [R] Tom", ("a", "x"), "x", graph)
    with pytest.raises(ProblemError, match="problem 1: the problem has no twin: .*leave it out"):
        donors(MODEL, [PROBLEMS[0], lonely, *PROBLEMS], CURRICULUM)


def test_one_problem_without_a_like_is_named():
    with pytest.raises(ProblemError, match=r"problem 0: no other one has its answer"):
        donors(MODEL, PROBLEMS[:1], CURRICULUM)


def test_outcomes_are_the_options_that_answers_name():
    found = outcomes(MODEL, PROBLEMS, CURRICULUM)
    tokens = MODEL.tokenizer
    prompts = [
        [*CURRICULUM.prompt(p, tokens, 3), tokens.convert_tokens_to_ids("###")] for p in PROBLEMS
    ]
    for problem, one, kind in zip(
        PROBLEMS, generate(MODEL, tokens, prompts, 3), found, strict=True
    ):
        names, graph = problem.graph.names, problem.graph
        options = {names[graph.target]: "right", names[graph.distractor]: "distractor"}
        assert kind == (options.get(one.text, "other") if one.finished else "other")


def test_holm_by_hand():
    found = holm(pd.Series({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.5}))
    assert found.to_dict() == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.5})


def test_parts_inside_and_outside_a_subspace(given):
    basis = name_basis(MODEL, PROBLEMS)
    rank = len(NAMES)
    torch.testing.assert_close(basis.T @ basis, torch.eye(rank), atol=1e-5, rtol=0)
    h, rows = given["own"][:4, 0], torch.arange(4)
    donor = given["twin"]
    weight = MODEL.language_model.get_input_embeddings().weight.detach()
    words = weight[MODEL.tokenizer.convert_tokens_to_ids(NAMES)]
    inside = split(basis, inside=donor)(1, h, rows)
    torch.testing.assert_close(inside @ words.T, donor[:4, 0] @ words.T, atol=1e-4, rtol=0)
    off = torch.eye(len(h[0])) - basis @ basis.T
    torch.testing.assert_close(inside @ off, h @ off, atol=1e-4, rtol=0)
    swapped = split(basis, outside=donor)(1, donor[:4, 0], rows)
    torch.testing.assert_close(swapped, donor[:4, 0], atol=1e-4, rtol=0)
    random = random_basis(32, rank, seed=1)
    torch.testing.assert_close(random.T @ random, torch.eye(rank), atol=1e-5, rtol=0)


def test_a_renamed_thought_says_of_the_new_name_what_it_said_of_the_old(given):
    """Against least squares of each thought on the names, solved again after the renaming."""
    other = dict(zip(NAMES, [*NAMES[3:], *NAMES[:3]], strict=True))
    new = [renamed(p, n if n % 2 else other) for n, p in enumerate(PROBLEMS)]
    found = rename_thoughts(MODEL, given["own"], PROBLEMS, new)
    weight = MODEL.language_model.get_input_embeddings().weight.detach()
    words = weight[MODEL.tokenizer.convert_tokens_to_ids(NAMES)].T  # (d, 12)

    def coefficients(vectors):
        return torch.linalg.lstsq(words, vectors.T).solution  # (12, n)

    for old, now, before, after in zip(PROBLEMS, new, given["own"], found, strict=True):
        was, are = coefficients(before), coefficients(after)
        for name, called in zip(old.graph.names, now.graph.names, strict=True):
            torch.testing.assert_close(
                are[NAMES.index(called)], was[NAMES.index(name)], atol=1e-3, rtol=1e-3
            )
        rest = before.T - words @ was
        torch.testing.assert_close(after.T - words @ are, rest, atol=1e-3, rtol=0)
    back = rename_thoughts(MODEL, found, new, PROBLEMS)
    torch.testing.assert_close(back[1::2], given["own"][1::2], atol=1e-3, rtol=0)


def test_words_are_set_by_the_shortest_change(given):
    h = given["own"][:, 0]
    frontier = [[p.graph.names[n] for n in p.graph.frontier(1)] for p in PROBLEMS]
    others = [sorted(set(NAMES) - set(names)) for names in frontier]
    logits = MODEL.head(h)
    edited = set_words(MODEL, frontier, others)(1, h, torch.arange(len(h)))
    ids = MODEL.tokenizer.convert_tokens_to_ids
    for row, names, rest, before in zip(MODEL.head(edited), frontier, others, logits, strict=True):
        level = before[ids(rest)].mean()
        torch.testing.assert_close(row[ids(names)], level.expand(len(names)), atol=1e-3, rtol=0)
        torch.testing.assert_close(row[ids(rest)], before[ids(rest)], atol=1e-3, rtol=0)
    weight = MODEL.language_model.get_output_embeddings().weight.detach()
    wanted = torch.randn(3, len(weight), generator=torch.Generator().manual_seed(0))
    solved = torch.linalg.lstsq(weight, (wanted - h[:3] @ weight.T).T).solution.T
    torch.testing.assert_close(with_logits(MODEL, h[:3], wanted), h[:3] + solved, atol=1e-3, rtol=0)


def test_thoughts_written_by_hand(given):
    h = given["own"][:2, 0]
    found = write_words(MODEL, [["yumpus"], ["rempus", "lempus"]])(1, h, torch.arange(2))
    torch.testing.assert_close(found.norm(dim=1), h.norm(dim=1))
    weight = MODEL.language_model.get_input_embeddings().weight
    mean = weight[MODEL.tokenizer.convert_tokens_to_ids(["rempus", "lempus"])].mean(0)
    assert torch.nn.functional.cosine_similarity(found[1], mean, dim=0) > 0.9999
    with pytest.raises(ProblemError, match="problem 1 has no words"):
        write_words(MODEL, [["yumpus"], []])


def test_the_staircase_reads_the_rewired_facts_from_a_pass_on():
    """Never: as if nothing was rewired. From pass 0: as if the question had always been that."""
    problems = rewirable(generate_prosqa(80, 3, hops=2), 2)[:20]
    found = staircase(MODEL, problems, CURRICULUM, 2, batch_size=9)
    assert list(found.columns) == [0, 1, 2, 3, "never"] and list(found.index) == [1, 2]
    ids = MODEL.tokenizer.convert_tokens_to_ids

    def says(asked):
        row = CURRICULUM.prompt(asked, MODEL.tokenizer, 2)
        with torch.no_grad():
            states = MODEL.latent_states(torch.tensor([[*row, ids("###")]]))
        return int(MODEL.head(states.hidden[0, -1]).argmax())

    for hop in (1, 2):
        old = [ids(problem.answer) for problem in problems]
        kept = [says(p) == was for p, was in zip(problems, old, strict=True)]
        new = [says(rewire(p, hop)) == was for p, was in zip(problems, old, strict=True)]
        assert found.loc[hop, "never"] == pytest.approx(sum(kept) / 20)
        assert found.loc[hop, 0] == pytest.approx(sum(new) / 20)


@pytest.mark.parametrize("name", ["tiny-coconut", "tiny-pause-as-thought"])
def test_at_the_thoughts_the_twins_columns_are_found_and_no_others(name):
    shipped = load(name)
    model, problems = shipped.model, PROBLEMS[:12]
    found = twin_columns(model, problems, shipped.curriculum)
    for problem, kind in zip(problems, found, strict=True):
        rows = [shipped.curriculum.prompt(p, model.tokenizer, 3) for p in (problem, twin(problem))]
        with torch.no_grad():
            own, other = (model.latent_states(torch.tensor([row[:-1]])).cache for row in rows)
            for mine, its in zip(own.layers, other.layers, strict=True):
                mine.keys[:, :, -3:] = its.keys[:, :, -3:]
                mine.values[:, :, -3:] = its.values[:, :, -3:]
            ids = torch.tensor([[rows[0][-1], model.tokenizer.convert_tokens_to_ids("###")]])
            hidden = model.backbone(ids, past_key_values=own).last_hidden_state[0, -1]
        names, graph = problem.graph.names, problem.graph
        options = {names[graph.target]: "right", names[graph.distractor]: "distractor"}
        said = model.tokenizer.convert_ids_to_tokens(int(model.head(hidden).argmax()))
        assert kind == options.get(said, "other")
    assert found.count("distractor") >= (11 if name == "tiny-coconut" else 1)


def test_an_edit_of_a_model_with_pauses_changes_what_it_reads_there():
    shipped = load("tiny-pause-as-thought")
    model, curriculum, problems = shipped.model, shipped.curriculum, PROBLEMS[:20]
    problems = [p for p in problems if p.answer == problems[0].answer] + problems
    pause = model.embed(torch.tensor(model.tokenizer.convert_tokens_to_ids("<pause>"))).detach()
    seen = []
    found = think(model, problems, curriculum, edit=lambda k, h, rows: (seen.append(h), h * 0)[1])
    assert len(seen) == 3 and all(torch.equal(h, pause.expand_as(h)) for h in seen)
    for problem, hidden in zip(problems, found, strict=True):
        row = torch.tensor([curriculum.prompt(problem, model.tokenizer, 3)])
        inputs = (
            model.embed(row) * (row != model.tokenizer.convert_tokens_to_ids("<pause>"))[..., None]
        )
        with torch.no_grad():
            whole = model.backbone(inputs_embeds=inputs).last_hidden_state[0]
        torch.testing.assert_close(hidden, whole[-5:-2], atol=1e-4, rtol=0)
    given = donors(model, PROBLEMS, curriculum)
    for name, vectors in given.items():
        same = torch.zeros(64) if name == "zero" else pause
        torch.testing.assert_close(vectors, same.expand(len(PROBLEMS), 3, 64))
    before = outcomes(model, PROBLEMS, curriculum)
    assert outcomes(model, PROBLEMS, curriculum, edit=put(given["twin"])) == before


def test_in_an_untied_model_names_are_read_by_other_vectors_than_they_are_written_by():
    part = ModelPart(layers=1, heads=2, head_dim=8, width=32, feed_forward=8, tied=False)
    model = new_model(part, NAMES, 0)
    ids = model.tokenizer.convert_tokens_to_ids(NAMES)
    assert torch.equal(name_basis(MODEL, PROBLEMS), name_basis(MODEL, PROBLEMS, read=True))
    for read, embeddings in (
        (False, model.language_model.model.embed_tokens),
        (True, model.language_model.lm_head),
    ):
        basis = name_basis(model, PROBLEMS, read=read)
        words = embeddings.weight.detach()[ids]
        torch.testing.assert_close(words @ basis @ basis.T, words)


def test_in_tiny_coconut_the_first_thought_decides_and_hops_are_taken_in_turn():
    """Pilots on other problems: the twin takes 98%; below the staircase 2%, on it 92 to 98%."""
    shipped = load("tiny-coconut")
    model, curriculum = shipped.model, shipped.curriculum
    problems = generate_prosqa(200, 31)
    given = donors(model, problems, curriculum)
    edits = {
        "own": put(given["own"], 1),
        "twin": put(given["twin"], 1),
        "other": put(given["another problem"], 1),
        "same": change(lambda k, h, rows: h),
    }
    table = compare_edits(model, problems, curriculum, edits)
    assert table.loc["own", ["lost", "won"]].tolist() == [0, 0]
    assert table.loc["same", "p"] == 1
    assert table.loc["none", "right"] > 0.94 and table.loc["twin", "distractor"] > 0.93
    assert 0.3 < table.loc["other", "right"] < 0.7
    assert table.loc["twin", "low"] < table.loc["twin", "right"] < table.loc["twin", "high"]
    assert table.loc["twin", "holm"] == pytest.approx(4 * table.loc["twin", "p"])
    steps = staircase(model, rewirable(generate_prosqa(200, 31, hops=3), 3), curriculum)
    for hop in (1, 2, 3):
        assert (steps.loc[hop, list(range(hop))] < 0.1).all()
        assert (steps.loc[hop, list(range(hop, 5))] > 0.85).all()


def test_words_of_several_tokens_are_refused():
    with pytest.raises(ProblemError, match="words can be written where a name is one token"):
        write_words(spelling_checkpoint().model, [["gwompus"]])
