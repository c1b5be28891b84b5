"""What supervises thoughts: against rows computed one by one, and runs that use it."""

import dataclasses
import json
import types
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from oracle import latent_row, mean_loss
from small_runs import log, same, trainer, weights

from coconut_lab.checkpoints.shipped import load
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.tasks.problems import ProblemError
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.data import Batches, names_of
from coconut_lab.training.recipe import CurriculumPart, RecipeError, load_recipe
from coconut_lab.training.supervisors import check_supervisor, supervision, target_tokens
from minimal_coconut import think_without_cache

KINDS = ("step", "frontier", "teacher")


def naive_targets(kind, problem, count):
    """Names for each thought, from the facts of the question alone."""
    if kind == "step":
        return [{step} for step in problem.steps[:count]]
    facts = [fact.split() for fact in problem.question.split("[Q]")[0].split("|")[1:]]
    seen = level = {problem.question.split()[-1]}
    found = []
    for _ in range(count):
        level = {child for parent, child in facts if parent in level} - seen
        seen = seen | level
        found.append(level)
    return found


@pytest.mark.parametrize("kind", ["step", "frontier"])
@pytest.mark.parametrize("per_step", [1, 2])
def test_targets_are_what_the_facts_say(kind, per_step):
    tokenizer = load("tiny-base").tokenizer
    curriculum = Curriculum(max_stage=3, thoughts_per_step=per_step)
    for problem in generate_prosqa(50, 5):
        got = target_tokens(kind, problem, curriculum, 3 * per_step, tokenizer)
        want = naive_targets(kind, problem, 3)
        want += [set()] * (3 - len(want))
        names = [set(tokenizer.convert_ids_to_tokens(ids)) for ids in got]
        assert names == [each for each in want for _ in range(per_step)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "stage"), [("coconut", 1), ("no_curriculum", 4)])
def test_losses_and_gradients_are_those_of_rows_computed_one_by_one(kind, method, stage):
    recipe = load_recipe("tiny-coconut")
    model = load("tiny-coconut").model.double()
    tokenizer, curriculum = model.tokenizer, Curriculum(method, max_stage=3)
    problems = generate_prosqa(6, 7)
    batches = Batches(problems, tokenizer, 6, 0, names_of(recipe))
    batch = batches.curriculum(0, curriculum, stage, supervisor=kind)
    targets = batch.pop("targets", None)
    output = model(**batch, output_hidden_states=kind == "teacher")
    beside = supervision(model, output, batch, targets)
    (output.loss + beside.mean()).backward()
    got = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()

    rows = [
        (ids[real].tolist(), labels[real].tolist())
        for ids, labels, real in zip(
            batch["input_ids"], batch["labels"], batch["attention_mask"].bool(), strict=True
        )
    ]
    each = []
    for ids, _ in rows[:: 2 if kind == "teacher" else 1]:
        thoughts = latent_row(model.language_model, ids, model.tokens.thought)[0]
        if kind == "teacher":
            other = next(after for row, (after, _) in pairwise(rows) if row[0] == ids)
            # The teacher has read all steps: the answer is the last of them.
            assert model.tokens.thought not in other and other[-2] == other[-4] == ids[-2]
            pair = []
            for one in (ids, other):
                inputs = think_without_cache(model.language_model, one, model.tokens.thought)
                mark = one.index(tokenizer.convert_tokens_to_ids("###"))
                found = model.language_model(inputs_embeds=inputs[None], output_hidden_states=True)
                pair.append([layer[0, mark] for layer in found.hidden_states[1:]])
            parts = []
            for mine, theirs in zip(*pair, strict=True):
                theirs = theirs.detach()
                parts.append(F.smooth_l1_loss(mine / theirs.std(), theirs / theirs.std()))
            each.append(sum(parts) / len(parts))
            continue
        # The row is renamed: its own facts say what a thought should hold.
        words = tokenizer.convert_ids_to_tokens(ids)
        graph = " ".join(words[: words.index("[R]") + 2])
        steps = next(  # of the problem with the same shape, under its new names
            tuple(dict(zip(old.question.split(), words, strict=False))[s] for s in old.steps)
            for old in problems
            if same_shape(old.question.split(), words)
        )
        problem = dataclasses.replace(problems[0], question=graph, steps=steps)
        losses = []
        for thought, names in zip(thoughts, naive_targets(kind, problem, 3), strict=False):
            if names:
                even = torch.zeros(len(tokenizer), dtype=torch.double)
                even[tokenizer.convert_tokens_to_ids(sorted(names))] = 1 / len(names)
                losses.append(F.cross_entropy(model.head(thought), even))
        each.append(sum(losses) / len(losses))
    torch.testing.assert_close(beside, torch.stack(each).to(beside), rtol=1e-5, atol=1e-6)
    whole = mean_loss(model.language_model, rows, model.tokens.thought) + sum(each) / len(each)
    whole.backward()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(got[name], weight.grad, rtol=1e-4, atol=1e-6)


def same_shape(old, new):
    """Whether two lists of words differ by a renaming."""
    pairs = set(zip(old, new, strict=False))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize("kind", KINDS)
def test_runs_go_on_bit_for_bit_and_their_parts_add_up(recipe, tmp_path, kind):
    recipe = dataclasses.replace(recipe, supervisor=kind, supervisor_weight=0.5)
    whole = weights(trainer(recipe, tmp_path / "whole").train())
    plain = trainer(dataclasses.replace(recipe, supervisor="none"), tmp_path / "plain")
    assert not same(weights(plain.train()), whole)
    run = trainer(recipe, tmp_path / "cut", save_every=2)
    with pytest.raises(KeyboardInterrupt):
        run.train(lambda entry: run.stop() if entry["step"] == 4 else None)
    assert same(weights(trainer(recipe, tmp_path / "cut").train()), whole)
    assert log(tmp_path / "cut") == log(tmp_path / "whole")
    small = dataclasses.replace(recipe, micro_batch=3)
    trainer(small, tmp_path / "parts").train()
    for a, b in zip(log(tmp_path / "whole"), log(tmp_path / "parts"), strict=True):
        for name in ("loss", "supervisor", "gradient_norm"):
            assert b[name] == pytest.approx(a[name], rel=2e-2, abs=1e-6)
    assert kind in trainer(recipe, tmp_path / "said").describe()


def test_an_older_run_without_the_key_goes_on(recipe, tmp_path):
    run = trainer(recipe, tmp_path)
    run.train()
    facts = json.loads((tmp_path / "run.json").read_text())
    del facts["recipe"]["supervisor"], facts["recipe"]["supervisor_weight"]
    (tmp_path / "run.json").write_text(json.dumps(facts))
    trainer(recipe, tmp_path).train()  # nothing is left to do, and nothing is refused


def test_what_cannot_be_supervised_is_refused(recipe):
    def supervised(kind, **changes):
        return dataclasses.replace(recipe, supervisor=kind, **changes)

    with pytest.raises(RecipeError, match="'frontier', but a base model has no thoughts"):
        supervised("frontier", objective="walks")
    for method in ("pause", "cot"):
        with pytest.raises(RecipeError, match=f"'step', but the method {method} has no thoughts"):
            supervised("step", curriculum=CurriculumPart(method=method))
    with pytest.raises(RecipeError, match="supervisor is 'oracle'; it should be 'none'"):
        supervised("oracle")
    with pytest.raises(RecipeError, match="supervisor_weight is 0; it should be greater"):
        supervised("step", supervisor_weight=0)

    first, second = generate_prosqa(2, 1)
    tokenizer = load("tiny-base").tokenizer
    for kind, problem, lacks in (
        ("frontier", dataclasses.replace(second, graph=None), "graph"),
        ("teacher", dataclasses.replace(second, steps=()), "steps"),
        ("step", second.in_english(), "steps of one word each"),
    ):
        with pytest.raises(ProblemError, match=f"problem 1 has no {lacks}"):
            check_supervisor(supervised(kind), [first, problem], tokenizer)
    with pytest.raises(RecipeError, match="this tokenizer cuts names into pieces"):
        check_supervisor(supervised("frontier"), [first], types.SimpleNamespace())
