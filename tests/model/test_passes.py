"""The door to `fast/`: without what is behind it, every number is the same up to rounding."""

import copy
import re
from pathlib import Path

import pytest
import torch
from shapes import tokenizer
from test_architectures import NAMES, batch, made

import coconut_lab
from coconut_lab.curriculum.tokenizer import thought_tokens
from coconut_lab.inference.generation import generate
from coconut_lab.inference.halting import ConfidentHalt
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.fast.last_layer import skips_last_layer

PACKAGE = Path(coconut_lab.__file__).parent


@pytest.mark.parametrize("name", NAMES)
def test_without_shortcuts_training_and_generation_give_the_same_numbers(name):
    words = tokenizer()
    plain = made(name, len(words))
    tokens = thought_tokens(words)
    heads = [[6, 7, 8, 9, tokens.bot], [8, 6, tokens.bot], [9, 9, 7, tokens.bot]]
    prompts = [[*head, tokens.thought, tokens.thought, tokens.eot] for head in heads]
    found = []
    for fast in (True, False):
        model = Coconut(copy.deepcopy(plain), words, fast=fast)
        assert not skips_last_layer(model.backbone) or fast
        _, ids, mask, labels = batch(tokens)
        output = model(ids, mask, labels=labels, recompute=fast)
        output.loss.backward()
        grads = {name: w.grad for name, w in model.named_parameters() if w.grad is not None}
        written = generate(model, words, prompts, 5, return_thoughts=True)
        ruled = generate(model, words, prompts, 5, ConfidentHalt(2.0, "entropy", 3))
        vectors = [output.loss, output.thoughts, torch.stack([one.thoughts for one in written])]
        found.append((vectors, grads, [one.token_ids for one in written], ruled))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-4)
    largest = max(float(grad.abs().max()) for grad in found[1][1].values())
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-4 * largest)
    assert found[0][2:] == found[1][2:]


def test_the_door_is_the_only_one():
    for path in PACKAGE.rglob("*.py"):
        inside = "model/fast" in path.as_posix() or path == PACKAGE / "model/passes.py"
        uses = re.search(r"coconut_lab\.model(\.| import )fast", path.read_text(encoding="utf-8"))
        assert inside or not uses, path.relative_to(PACKAGE)


def test_the_method_is_short():
    text = (PACKAGE / "model" / "coconut.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 150
