"""Errors that speak: of the package's own kinds, one line, never longer than a screen."""

import math

import pytest
import torch

from coconut_lab.checkpoints.pretrained import from_hub
from coconut_lab.checkpoints.shipped import CheckpointError, load
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import Curriculum, Example
from coconut_lab.errors import LONGEST, ShortError
from coconut_lab.inference.answers import numeric_answer
from coconut_lab.inference.generation import generate
from coconut_lab.inference.halting import LearnedHalt
from coconut_lab.inference.halting_tradeoff import HaltingTradeoff
from coconut_lab.inference.sampling import Sampling
from coconut_lab.inference.scoring import compare_paired, score
from coconut_lab.interpretability.thinking import think
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.counterfactuals import twin
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Graph, Problem, ProblemError
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.tasks.verify import verify_steps
from coconut_lab.training.data import Batches
from coconut_lab.training.estimate import find_gpu
from coconut_lab.training.recipe import RecipeError, load_recipe
from coconut_lab.training.run_folder import TrainingError
from coconut_lab.training.trainer import Trainer

MANY = "x" * 1_000_000


@pytest.fixture(scope="module")
def checkpoint():
    return load("tiny-coconut")


@pytest.fixture
def batch(checkpoint):
    rows = [checkpoint.curriculum.encode(p, checkpoint.tokenizer, 2) for p in generate_prosqa(2, 1)]
    return collate(rows, checkpoint.tokenizer)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("input_ids", lambda t: t.tolist(), "input_ids must be a tensor .* not a list"),
        ("input_ids", lambda t: t.float(), "input_ids of type torch.float32; give whole numbers"),
        ("input_ids", lambda t: t.bool(), "input_ids of type torch.bool"),
        ("input_ids", lambda t: t.to("meta"), "input_ids on the device meta for a model on cpu"),
        (
            "input_ids",
            lambda t: t + 21,
            r"input_ids: row 0 has \d+ in column 0; it must be 0 to 20",
        ),
        ("input_ids", lambda t: t - 21, r"input_ids: row 0 has -\d+ in column 0"),
        ("attention_mask", lambda t: t.tolist(), "attention_mask must be a tensor"),
        (
            "attention_mask",
            lambda t: t * 2,
            r"attention_mask: row \d has 2 in .* it must be 0 to 1",
        ),
        ("attention_mask", lambda t: t * math.nan, "attention_mask: row 0 has nan in column 0"),
        ("attention_mask", lambda t: t.to("meta"), "attention_mask on the device meta"),
        ("position_ids", lambda t: t - 50, r"position_ids: row 0 has -50 in column 0"),
        ("position_ids", lambda t: t.double(), "position_ids of type torch.float64"),
        ("labels", lambda t: t.clamp(min=-5), r"labels: row 0 has -5 .* 0 to 20 or -100"),
        ("labels", lambda t: t.clamp(min=21), r"labels: row 0 has 21 .* 0 to 20 or -100"),
        ("labels", lambda t: t.float(), "labels of type torch.float32"),
        ("labels", lambda t: t.to("meta"), "labels on the device meta"),
    ],
)
def test_parts_of_a_batch_that_are_not_what_they_should_be(
    checkpoint, batch, name, change, message
):
    with pytest.raises(ModelError, match=message):
        checkpoint.model(**batch | {name: change(batch[name])})


def test_whole_numbers_of_either_width_give_the_same(checkpoint, batch):
    want = checkpoint.model(**batch).loss
    assert torch.equal(checkpoint.model(**{k: v.int() for k, v in batch.items()}).loss, want)
    # A mask with a hole is a mask: what it hides is as if it were padding.
    mask = batch["attention_mask"].clone()
    column = int((mask[0] == 0).sum()) + 4
    mask[0, column] = 0
    hidden = batch | {"attention_mask": mask, "position_ids": batch["position_ids"].clone()}
    other = hidden | {"input_ids": batch["input_ids"].clone()}
    other["input_ids"][0, column] = 7
    assert torch.equal(checkpoint.model(**hidden).loss, checkpoint.model(**other).loss)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (torch.float8_e4m3fn, "the weights are torch.float8_e4m3fn; take float32"),
        (torch.complex64, "the weights are torch.complex64"),
        ("meta", "input_ids on the device cpu for a model on meta; move both to one that holds"),
    ],
)
def test_weights_that_nobody_can_compute_with(batch, kind, message):
    with pytest.raises(ModelError, match=message):
        load("tiny-base").model.to(kind)(**batch)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature is -1; it must be above 0"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"temperature": "1"}, "temperature is '1'"),
        ({"top_p": None}, "top_p is None"),
        ({"seed": 1.5}, "seed is 1.5; it must be a whole number, 0 or more"),
        ({"seed": None}, "seed is None"),
        ({"first": -1}, "first is -1; it must be 0 or more"),
    ],
)
def test_settings_of_a_draw(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_stage": "3"}, "max_stage is '3'; it must be a whole number, 0 or more"),
        ({"max_stage": 1.5}, "max_stage is 1.5; it must be a whole number"),
        ({"thoughts_per_step": True}, "thoughts_per_step is True; it must be a whole number"),
        ({"mix_probability": "a"}, r"mix_probability is 'a'; it must be in \[0, 1\]"),
        ({"method": ["coconut"]}, r"unknown method \['coconut'\]; choose from coconut"),
        ({"method": MANY}, r"unknown method 'x{79}; choose from coconut"),
    ],
)
def test_settings_of_a_curriculum(settings, message):
    with pytest.raises(ValueError, match=message) as found:
        Curriculum(**settings)
    assert len(str(found.value)) < 2000


@pytest.mark.parametrize(
    ("use", "kind", "message"),
    [
        (
            lambda c, r, f: generate(c.model, c.tokenizer, [[2]], "4"),
            ModelError,
            "is '4'; give",
        ),
        (lambda c, r, f: generate(c.model, c.tokenizer, [[2]], 4.5), ModelError, "a whole number"),
        (
            lambda c, r, f: generate(c.model, c.tokenizer, [[2]], 0),
            ModelError,
            "is 0; it must",
        ),
        (
            lambda c, r, f: generate(c.model, c.tokenizer, [[2]], 4, sampling=0.7),
            ModelError,
            "generate: sampling is 0.7; give a Sampling or None",
        ),
        (
            lambda c, r, f: generate(c.model.language_model, c.tokenizer, [[2]], 4),
            ModelError,
            "model is of type LlamaForCausalLM; give a Coconut, such as load",
        ),
        (lambda c, r, f: Coconut("gpt2", c.tokenizer), ModelError, "str is neither a model nor"),
        (lambda c, r, f: Coconut(c.model.language_model, None), ModelError, "NoneType is neither"),
        (
            lambda c, r, f: Trainer(r.to_dict(), f),
            RecipeError,
            "recipe is of type dict; give",
        ),
        (
            lambda c, r, f: Trainer(r, f, start=c),
            RecipeError,
            "start is of type Checkpoint; gi",
        ),
        (lambda c, r, f: Trainer(r, f, save_every=0), TrainingError, "save_every is 0; it must"),
        (
            lambda c, r, f: Trainer(r, f, validation=["a"]),
            RecipeError,
            r"n\[0\] is 'a'; give a",
        ),
        (
            lambda c, r, f: Trainer(r, f, start=load("tiny-base").model.requires_grad_(False)),
            TrainingError,
            "no weight that can be trained",
        ),
        (
            lambda c, r, f: Trainer(r, f, start=load("tiny-base").model.to("meta")),
            TrainingError,
            "no weight that can be trained",
        ),
        (lambda c, r, f: Batches([], c.tokenizer, 4, 0), RecipeError, "there are no problems"),
        (lambda c, r, f: load(MANY), CheckpointError, r"checkpoints/x+ \[…\] x+/card.json"),
        (lambda c, r, f: load_problems(MANY), ProblemError, "is neither a file nor a known data"),
        (lambda c, r, f: from_hub(MANY, "prosqa"), ModelError, "there is no model 'x+"),
        (lambda c, r, f: load_recipe(MANY), RecipeError, "cannot read the recipe"),
        (lambda c, r, f: load_recipe("a\0"), RecipeError, "cannot read the recipe"),
        (lambda c, r, f: find_gpu(MANY), RecipeError, r"--gpu: 'x+ \[…\] x+' is none of"),
        (
            lambda c, r, f: c.curriculum.encode(Problem(MANY, ("a",), "b"), c.tokenizer, 1),
            ProblemError,
            "problem 0: the tokenizer does not know .*use names of its vocabulary",
        ),
        (lambda c, r, f: generate_prosqa(1, 1, MANY), ProblemError, "preset='x+ .*; there are"),
    ],
)
def test_uses_that_cannot_be(checkpoint, recipe, tmp_path, use, kind, message):
    with pytest.raises(kind, match=message) as found:
        use(checkpoint, recipe, tmp_path / "run")
    assert isinstance(found.value, ShortError)
    assert "\n" not in str(found.value) and len(str(found.value)) <= LONGEST + 10
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [" + "[" * 5000, "is no YAML"),
        ("1: 2\n[a, b]: 3\n", "is no YAML: while constructing a mapping"),
        ("seed: 1\nseed: 2\n", "is no YAML: seed is given twice in .*line 2"),
        (f"seed: {MANY}\nname: a\nphases: [{{steps: 1}}]", "seed is 'x{199}; it should be a valid"),
        (f"? {MANY}\n: 1\nname: a\nphases: [{{steps: 1}}]", r"unknown key x+ \[…\] .*known are"),
    ],
)
def test_recipes_that_are_no_recipes(tmp_path, text, message):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message) as found:
        load_recipe(tmp_path / "a.yaml")
    assert "\n" not in str(found.value) and len(str(found.value)) <= LONGEST + 10


@pytest.mark.parametrize("file", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_in_one_line(checkpoint, tmp_path, file):
    checkpoint.model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / file).unlink()
    with pytest.raises(ModelError) as failure:
        Coconut.from_pretrained(tmp_path / "model")
    assert "cannot be loaded" in str(failure.value) and "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "wrong", [None, 3, -1.5, b"x", [None], {}, object(), MANY], ids=lambda one: f"{one!r:.8}"
)
@pytest.mark.parametrize(
    "use",
    [
        lambda c, wrong: load(wrong),
        lambda c, wrong: from_hub(wrong, "prosqa"),
        lambda c, wrong: from_hub("tiny-base", "prosqa", weights=wrong or 0),
        lambda c, wrong: load_problems(wrong),
        lambda c, wrong: load_recipe(wrong),
        lambda c, wrong: Coconut.from_pretrained(wrong),
        lambda c, wrong: Trainer(wrong, "x"),
        lambda c, wrong: LearnedHalt.load(wrong),
        lambda c, wrong: HaltingTradeoff.load(wrong),
        lambda c, wrong: generate(wrong, c.tokenizer, [[2]]),
        lambda c, wrong: generate(c.model, wrong, [[2]]),
        lambda c, wrong: generate(c.model, c.tokenizer, wrong),
        lambda c, wrong: score(c.model, c.tokenizer, wrong, c.curriculum, 1),
        lambda c, wrong: c.curriculum.encode(wrong, c.tokenizer, 1),
        lambda c, wrong: collate(wrong, c.tokenizer),
        lambda c, wrong: collate([Example([2], [2])], wrong),
        lambda c, wrong: Graph(wrong, (), 0, 1, 2),
        lambda c, wrong: Problem("q", ("a",), wrong if wrong != MANY else 3),
        lambda c, wrong: twin(wrong),
        lambda c, wrong: verify_steps(wrong or 0),
        lambda c, wrong: think(c.model, wrong, c.curriculum),
        lambda c, wrong: numeric_answer(wrong if wrong != MANY else 3),
        lambda c, wrong: compare_paired([True], wrong or 0),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_one_line(checkpoint, use, wrong):
    with pytest.raises((ShortError, ValueError)) as found:
        use(checkpoint, wrong)
    assert "\n" not in str(found.value) and len(str(found.value)) <= LONGEST + 10
