"""`minimal_coconut.py`: short, alone, and the same method as the package's."""

import ast
import random
import sys
from itertools import pairwise
from pathlib import Path

import oracle
import pytest
import torch
from shapes import CONFIGS, language_model, ragged, tokenizer
from transformers import LlamaForCausalLM

import minimal_coconut as minimal
from coconut_lab import Coconut, collate, generate, generate_prosqa, load
from coconut_lab.curriculum.batching import pad_prompts
from coconut_lab.curriculum.tokenizer import thought_tokens

FILE = Path(minimal.__file__)
EXACT = {"rtol": 1e-9, "atol": 1e-11}


def gradients(loss, model):
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def test_the_file_is_short_and_imports_torch_and_transformers_only():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    roots = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(node.module.partition(".")[0])
    assert roots - sys.stdlib_module_names == {"torch", "transformers"}


@pytest.mark.parametrize("shape", CONFIGS)
def test_its_latent_forward_is_the_definition_and_the_package_s(shape):
    model, rows = language_model(shape), ragged()
    coconut = Coconut(model, tokenizer())
    batch = collate(rows, tokenizer())
    ids, mask, labels = (batch[name] for name in ("input_ids", "attention_mask", "labels"))
    thought = coconut.tokens.thought
    output = coconut(**batch)
    _, thoughts, _ = minimal.latent_forward(model, ids, mask, thought)
    for k, column in enumerate(thoughts):
        has = output.thought_counts > k
        torch.testing.assert_close(column[has], output.thoughts[has, k], **EXACT)
    loss = minimal.loss_of(model, ids, mask, labels, thought)
    slow = oracle.mean_loss(model, rows, thought)
    want = gradients(output.loss, model)
    for same in (loss, slow):
        torch.testing.assert_close(same, output.loss, **EXACT)
        torch.testing.assert_close(gradients(same, model), want, **EXACT)


def test_it_thinks_and_writes_as_the_package_does_on_a_shipped_model():
    made = load("tiny-coconut")
    model = made.model.double()
    language, tokens = model.language_model, thought_tokens(made.tokenizer)
    problems = generate_prosqa(24, seed=11)
    end = made.tokenizer.eos_token_id
    for stage in range(4):
        rows = [made.curriculum.encode(one, made.tokenizer, stage) for one in problems]
        batch = collate(rows, made.tokenizer)
        loss = minimal.loss_of(
            language, batch["input_ids"], batch["attention_mask"], batch["labels"], tokens.thought
        )
        torch.testing.assert_close(loss, model(**batch).loss, rtol=1e-6, atol=1e-6)
        prompts = [made.curriculum.prompt(one, made.tokenizer, stage) for one in problems]
        padded = pad_prompts(prompts, made.tokenizer)
        ids, mask = padded["input_ids"], padded["attention_mask"]
        written = minimal.generate(language, ids, mask, 8, tokens.thought).tolist()
        for row, one in zip(written, generate(model, made.tokenizer, prompts, 8), strict=True):
            want = [*one.token_ids, end] if one.finished else one.token_ids
            assert row[: len(want)] == want


def test_a_problem_can_be_solved_only_from_the_root():
    rng = random.Random(0)
    for _ in range(300):
        facts, (_, first, second, _, root), steps = minimal.make_problem(rng)
        edges = set(zip(facts[1::3], facts[2::3], strict=True))
        below, depth = {root}, 0
        while not below & {first, second}:  # breadth first
            below = {node for above, node in edges if above in below}
            depth += 1
        assert below & {first, second} == {steps[-1]} and depth == len(steps)
        assert set(pairwise([root, *steps])) <= edges
        assert not {above for above, _ in edges} & {first, second}
        # The other option lies as far below the only other node without parents.
        (other,) = {above for above, _ in edges} - {node for _, node in edges} - {root}
        below = {other}
        for _ in range(depth):
            below = {node for above, node in edges if above in below}
        assert {first, second} - {steps[-1]} == below & {first, second}


def test_rows_are_those_of_the_docstring():
    problem = ([minimal.FACT], [minimal.ASK], [5, 3])
    bot, thought, eot = minimal.BOT, minimal.THOUGHT, minimal.EOT
    tail = [minimal.ANSWER, 3, minimal.END]
    for stage, left in ((0, [5, 3]), (1, [3]), (3, [])):
        prompt, text, labels = minimal.stage_row(problem, stage)
        assert prompt == [minimal.FACT, minimal.ASK, bot, *[thought] * stage, eot]
        assert text == labels == left + tail
    facts, *rest = minimal.make_problem(random.Random(1))
    prompt, text, labels = minimal.walks_row((facts, *rest), random.Random(1))
    nodes = [token for token in text if token not in (bot, eot)]
    learned = [label for label in labels if label != minimal.IGNORED]
    walks = " ".join(map(str, nodes)).split(str(minimal.ROOT))[1:]
    walks = [[int(node) for node in walk.split()] for walk in walks]
    assert prompt == facts and learned == [node for walk in walks for node in walk[1:]]
    assert len(walks) == 8 and bot in text and eot in text
    edges = set(zip(facts[1::3], facts[2::3], strict=True))
    assert {pair for walk in walks for pair in pairwise(walk)} <= edges


def test_a_short_training_run_improves_the_loss(capsys):
    rng = random.Random(0)
    model = LlamaForCausalLM(minimal.CONFIG)
    problems = [minimal.make_problem(rng) for _ in range(16)]
    rows = [minimal.stage_row(problem, rng.randrange(4)) for problem in problems]
    before = minimal.loss_of(model, *minimal.collate(rows)).item()
    minimal.train(model, (rng.choice(rows) for _ in iter(int, 1)), 40, "stage 2", batch_size=8)
    assert minimal.loss_of(model, *minimal.collate(rows)).item() < before - 1
    assert "stage 2: step 40 of 40, loss " in capsys.readouterr().out
    assert 0 <= minimal.accuracy(model, problems, 3) <= 1
