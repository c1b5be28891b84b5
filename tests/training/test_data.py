"""Batches: a function of the step, with problems renamed and walks of graphs."""

import itertools
import random

import torch

from coconut_lab.curriculum.stages_and_masks import IGNORED, Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import word_tokenizer
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.training.data import Batches
from coconut_lab.training.recipe import WalksPart
from coconut_lab.training.walks import encode_walks


def test_batches_are_a_function_of_the_step_and_go_through_every_problem():
    problems = generate_prosqa(64, seed=1)
    preset = PRESETS["tiny"]
    tokenizer = word_tokenizer([*preset.entities, *preset.concepts])
    batches = Batches(problems, tokenizer, 8, seed=0, names=[*preset.entities, *preset.concepts])
    other = Batches(problems, tokenizer, 8, seed=0, names=[*preset.entities, *preset.concepts])
    curriculum = Curriculum(max_stage=3, mix_probability=0.5)
    order = [37, 2, 15, 2]
    for step in order:
        a, b = batches.curriculum(step, curriculum, 2), other.curriculum(step, curriculum, 2)
        assert all(torch.equal(a[name], b[name]) for name in a)
    seen = sorted(row for step in range(16) for row in batches.rows(step))
    assert seen == sorted(list(range(64)) * 2)


def test_nothing_drawn_for_a_step_is_drawn_for_the_next(monkeypatch):
    problems = generate_prosqa(256, seed=1)
    names = [*PRESETS["tiny"].entities, *PRESETS["tiny"].concepts]
    tokenizer = word_tokenizer(names)
    batches = Batches(problems, tokenizer, 8, seed=0)
    # Two pools of 16 batches are an epoch: the second epoch divides the problems otherwise.
    first, second = (
        {frozenset(batches.rows(step)) for step in range(start, start + 32)} for start in (0, 32)
    )
    assert first != second
    mixed = Curriculum(max_stage=3, mix_probability=1.0)
    renamed = Batches(problems, tokenizer, 8, 0, names)
    for made in (batches, renamed):  # the same problems at every step
        monkeypatch.setattr(made, "rows", lambda step: range(8))
    for make in (
        lambda step: batches.curriculum(step, mixed, 0),  # stages
        lambda step: renamed.curriculum(step, Curriculum(max_stage=3), 0),  # names
        lambda step: batches.walks(step, WalksPart()),
    ):
        ids = [make(step)["input_ids"] for step in (0, 1, 0)]
        assert torch.equal(ids[0], ids[2])
        assert ids[0].shape != ids[1].shape or not torch.equal(ids[0], ids[1])
    # A phase may switch mixing off.
    plain = batches.curriculum(0, mixed, 0, mix_probability=0.0)["input_ids"]
    assert not (plain == tokenizer.convert_tokens_to_ids("<thought>")).any()


def test_renaming_keeps_the_problem_and_changes_the_names():
    problems = generate_prosqa(16, seed=2)
    preset = PRESETS["tiny"]
    tokenizer = word_tokenizer([*preset.entities, *preset.concepts])
    plain = Batches(problems, tokenizer, 16, seed=0).curriculum(0, Curriculum(), 0)
    names = [*preset.entities, *preset.concepts]
    renamed = Batches(problems, tokenizer, 16, 0, names).curriculum(0, Curriculum(), 0)
    assert torch.equal(plain["labels"] == IGNORED, renamed["labels"] == IGNORED)
    ids = set(tokenizer.convert_tokens_to_ids(names))
    changed = 0
    for row, new in zip(plain["input_ids"].tolist(), renamed["input_ids"].tolist(), strict=True):
        mapping = dict(zip(row, new, strict=True))
        assert [mapping[token] for token in row] == new
        assert len(set(mapping.values())) == len(mapping)
        assert all(old in ids or old == token for old, token in mapping.items())
        changed += mapping != {token: token for token in mapping}
    assert changed >= 15
    # Some of the names may only change among themselves.
    kinds = Batches(problems, tokenizer, 16, 0, names, apart=4).curriculum(0, Curriculum(), 0)
    entities = torch.tensor(tokenizer.convert_tokens_to_ids(list(preset.entities)))
    was, now = (torch.isin(one["input_ids"], entities) for one in (plain, kinds))
    assert torch.equal(was, now) and not torch.equal(plain["input_ids"], kinds["input_ids"])


def test_walks_follow_the_graph_and_markers_come_as_often_as_asked():
    problems = generate_prosqa(1000, seed=4)
    preset = PRESETS["tiny"]
    tokenizer = word_tokenizer([*preset.entities, *preset.concepts])
    rng = random.Random(0)
    walks, bots, eots, chances = 0, 0, 0, 0
    for problem, parts in zip(problems, tokenize(problems, tokenizer), strict=True):
        example = encode_walks(problem.graph, parts, tokenizer, WalksPart(), rng)
        words = tokenizer.convert_ids_to_tokens(example.input_ids)
        facts = len(problem.graph.edges) * 3
        assert words[:facts] == problem.question.split()[:facts]
        assert set(example.labels[:facts]) == {IGNORED}
        edges = {(problem.graph.names[a], problem.graph.names[b]) for a, b in problem.graph.edges}
        pieces = " ".join(words[facts:]).split("[R] ")[1:]
        walks += len(pieces)
        for piece in pieces:
            walk = piece.split()
            nodes = [word for word in walk if not word.startswith("<")]
            assert set(itertools.pairwise(nodes)) <= edges
            # A walk ends where nothing follows, or after four hops.
            assert len(nodes) == 5 or not any(parent == nodes[-1] for parent, _ in edges)
            bots += "<bot>" in walk
            assert "<bot>" not in walk or walk.index("<bot>") == 1
            chances += len(nodes) > 2
            eots += "<eot>" in walk
            assert "<eot>" not in walk or nodes[0] != walk[walk.index("<eot>") - 1] != "<bot>"
        learned = [word for word, label in zip(words, example.labels, strict=True) if label >= 0]
        assert not {"<bot>", "<eot>", "[R]"} & set(learned)
        # All nodes but the first of each walk are learned.
        total = sum(not word.startswith("<") for piece in pieces for word in piece.split())
        assert len(learned) == total - len(pieces)
    assert walks == 1000 * WalksPart().per_problem
    assert abs(bots / walks - 0.6) < 0.03 and abs(eots / chances - 0.5) < 0.03
