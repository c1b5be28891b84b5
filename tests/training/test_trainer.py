"""Training: runs that go on as if they had never been stopped, and what is refused."""

import dataclasses
import os
import random
import signal
import types

import pytest
import torch
from hub_models import save
from small_runs import log, same, trainer, weights

from coconut_lab.curriculum.stages_and_masks import METHODS
from coconut_lab.curriculum.tokenizer import PAUSE, pause_token, token_id
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import (
    CurriculumPart,
    ModelPart,
    OptimizerPart,
    Phase,
    ProblemsPart,
    Recipe,
    RecipeError,
)
from coconut_lab.training.run_folder import TrainingError
from coconut_lab.training.schedule import schedule
from coconut_lab.training.start import add_pause, new_model


def test_the_same_recipe_gives_the_same_weights_and_leaves_the_generators(recipe, tmp_path, whole):
    torch.manual_seed(1)
    random.seed(1)
    before = torch.random.get_rng_state(), random.getstate()
    assert same(weights(trainer(recipe, tmp_path / "a").train()), whole[0])
    assert torch.equal(torch.random.get_rng_state(), before[0]) and random.getstate() == before[1]
    other = dataclasses.replace(recipe, seed=4)
    assert not same(weights(trainer(other, tmp_path / "b").train()), whole[0])


@pytest.mark.usefixtures("usual_interrupts")
@pytest.mark.parametrize(
    ("how", "step"),
    [("fails", 1), ("fails", 3), ("fails", 5), ("fails", 8), ("Ctrl-C", 4), ("stop", 2)],
)
def test_a_run_that_ended_early_goes_on_bit_for_bit(recipe, tmp_path, whole, how, step):
    run = trainer(recipe, tmp_path, save_every=2 if how == "fails" else 200)

    def end_there(entry):
        if entry["step"] == step:
            {"fails": lambda: 1 / 0, "Ctrl-C": lambda: os.kill(os.getpid(), signal.SIGINT)}.get(
                how, run.stop
            )()

    with pytest.raises((ZeroDivisionError, KeyboardInterrupt)) as ended:
        run.train(end_there)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if how != "fails":  # with a checkpoint after the current step
        assert str(ended.value) == f"stopped after step {step}; run again to go on"
        assert [path.name for path in tmp_path.glob("step-*")] == [f"step-{step + 1:06d}"]
        assert run.step == step + 1
    again = run if how == "stop" else trainer(recipe, tmp_path, save_every=2)
    assert same(weights(again.train()), whole[0])
    assert log(tmp_path) == whole[1]


def test_a_step_trains_with_dropout_of_its_own_and_a_clipped_gradient(
    recipe, tmp_path, monkeypatch
):
    """What the model, the optimizer and the scorer see of a run, and of another process."""
    seen, norms = [], []
    clip = 0.05
    part = dataclasses.replace(recipe.optimizer, clip=clip)
    run = trainer(
        dataclasses.replace(recipe, optimizer=part),
        tmp_path / "run",
        validation=generate_prosqa(1, 1),
    )
    run.model.register_forward_pre_hook(
        lambda model, _: seen.append((torch.initial_seed(), model.training))
    )
    usual = torch.optim.AdamW.step

    def step(self, *args, **options):
        grads = [weight.grad for group in self.param_groups for weight in group["params"]]
        norms.append(float(torch.nn.utils.get_total_norm(grads)))
        return usual(self, *args, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)

    def score(model, *rest):
        assert not model.training
        return types.SimpleNamespace(accuracy=0.5, cut_off=0)

    monkeypatch.setattr("coconut_lab.training.validation.score", score)
    entries = []
    run.train(entries.append)
    assert len({seed for seed, _ in seen}) == 9 and all(training for _, training in seen)
    assert all(entry["gradient_norm"] > clip for entry in entries)
    assert max(norms) == pytest.approx(clip, rel=1e-3)
    # Another process draws other dropout.
    again = trainer(recipe, tmp_path / "again")
    first = next(schedule(again.recipe, 40))
    model = again._prepare()
    model.register_forward_pre_hook(lambda *_: seen.append((torch.initial_seed(), None)))
    for process in (0, 1):
        monkeypatch.setattr(type(again.accelerator), "process_index", process)
        again._train_step(model, first, again.batch(0, first.phase))
    assert seen[-2][0] == seen[0][0] != seen[-1][0]


def test_micro_batches_add_up_to_the_whole_batch(recipe, tmp_path):
    # Without dropout the parts of a batch give the gradient of the whole, up to rounding.
    whole, parts = [], []
    trainer(recipe, tmp_path / "whole").train(whole.append)
    small = dataclasses.replace(recipe, micro_batch=3)
    run = trainer(small, tmp_path / "parts")
    assert [chunk.stop - chunk.start for chunk in run._chunks] == [3, 3, 2]
    run.train(parts.append)
    for a, b in zip(whole, parts, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=2e-3)
        assert b["gradient_norm"] == pytest.approx(a["gradient_norm"], rel=2e-2)
    assert parts[0]["loss"] == pytest.approx(whole[0]["loss"], rel=1e-5)


def test_layers_computed_again_train_the_same_weights(recipe, tmp_path):
    two_layers = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, layers=2))
    again = dataclasses.replace(two_layers, recompute=True)
    want = weights(trainer(two_layers, tmp_path / "kept").train())
    assert same(weights(trainer(again, tmp_path / "again").train()), want)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_trains(recipe, tmp_path, method):
    part = dataclasses.replace(recipe.curriculum, method=method, mix_probability=0.0)
    run = trainer(
        dataclasses.replace(recipe, curriculum=part),
        tmp_path / "run",
        validation=generate_prosqa(5, seed=9),
    )
    model = run.train()
    entries = log(tmp_path / "run")
    assert len(entries) == 9 and "accuracy" in entries[-1]
    pauses = METHODS[method].stand_in == "pauses"
    assert (token_id(model.tokenizer, PAUSE) is not None) == pauses
    # Killed and continued, also with a token more than the base model has.
    again = trainer(dataclasses.replace(recipe, curriculum=part), tmp_path / "run").train()
    assert same(weights(again), weights(model))


def test_the_pause_token_starts_as_a_copy_and_needs_no_random_numbers(recipe):
    model = new_model(recipe.model, ["Alex", "lempus"], seed=0)
    rows = len(model.tokenizer)
    before = weights(model), torch.random.get_rng_state()
    add_pause(model)
    add_pause(model)
    assert len(model.tokenizer) == rows + 1
    assert torch.equal(torch.random.get_rng_state(), before[1])
    table = model.language_model.get_input_embeddings().weight
    assert torch.equal(table[:rows], before[0]["language_model.model.embed_tokens.weight"])
    assert torch.equal(table[pause_token(model.tokenizer)], table[model.tokens.thought])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_stage": 4}, "curriculum.max_stage: 4, but no problem has more than 3 steps"),
        ({"max_stage": 1}, r"phases\[2\].stage: 3 is past the last stage, 2"),
        ({"method": "icot", "max_stage": 9}, "no problem has more than 3 tokens in its steps"),
        ({"thoughts_per_step": 40}, "at stage 2, but the model has 96 positions"),
        ({"thoughts_per_step": 18}, "problems.validation: a prompt of .* leaves no room for an"),
    ],
)
def test_stages_that_do_not_fit_are_refused_before_any_work(recipe, tmp_path, change, message):
    part = dataclasses.replace(recipe.curriculum, **change)
    changed, problems = dataclasses.replace(recipe, curriculum=part), generate_prosqa(5, seed=9)
    with pytest.raises(RecipeError, match=message):
        trainer(changed, tmp_path / "run", validation=problems)
    assert not (tmp_path / "run").exists()


def test_problems_from_files_and_too_few_of_them(recipe, tmp_path):
    path = tmp_path / "problems.json"
    write_json(generate_prosqa(40, seed=1), path)
    part = dataclasses.replace(recipe.problems, source=str(path), rename=False)
    entries = []
    trainer(dataclasses.replace(recipe, problems=part), tmp_path / "a").train(entries.append)
    generated = dataclasses.replace(recipe.problems, rename=False)
    want = []
    trainer(dataclasses.replace(recipe, problems=generated), tmp_path / "b").train(want.append)
    assert [entry["loss"] for entry in entries] == [entry["loss"] for entry in want]
    write_json(generate_prosqa(7, seed=1), path)
    with pytest.raises(RecipeError, match=r"problems.json holds 7 problems, fewer than one batch"):
        trainer(dataclasses.replace(recipe, problems=part), tmp_path / "c")


def test_tensorboard_is_optional(recipe, tmp_path):
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(TrainingError, match="pip install tensorboard"):
            trainer(recipe, tmp_path / "run", tensorboard=True)
    else:
        trainer(recipe, tmp_path / "run", tensorboard=True).train()
        assert list((tmp_path / "run").glob("events.out.*"))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("weight", r"the loss is nan at step 4; the last good .*step-000004.*precision: fp32"),
        ("gradient", r"the gradient's norm is nan at step 4; the last good .*step-000004"),
    ],
)
def test_a_step_that_gives_no_number_writes_no_checkpoint(recipe, tmp_path, where, message):
    run = trainer(recipe, tmp_path / "run", save_every=1)
    weight = next(run.model.parameters())

    def spoil(entry):
        if entry["step"] == 3 and where == "weight":
            weight.data.fill_(float("nan"))
        elif entry["step"] == 3:
            weight.register_hook(lambda gradient: gradient * float("nan"))

    with pytest.raises(TrainingError, match=message):
        run.train(spoil)
    names = sorted(path.name for path in (tmp_path / "run").glob("step-*"))
    assert names == ["step-000003", "step-000004"]


def test_fp32_and_bf16_take_turns_in_one_process(recipe, tmp_path, monkeypatch):
    seen = []
    usual = Coconut.forward

    def forward(self, *args, **options):
        seen.append(torch.is_autocast_enabled("cpu"))
        return usual(self, *args, **options)

    monkeypatch.setattr(Coconut, "forward", forward)
    model = trainer(recipe, tmp_path / "start").model
    short = dataclasses.replace(recipe, phases=recipe.phases[:1])
    kinds = ["fp32", "bf16", "fp32"]
    runs = [  # of one model, and all made before the first begins
        trainer(dataclasses.replace(short, precision=kind), tmp_path / str(number), start=model)
        for number, kind in enumerate(kinds)
    ]
    for run, kind in zip(runs, kinds, strict=True):
        assert f"in {kind}" in run.describe()
        run.train()
    assert seen == [False] * 3 + [True] * 3 + [False] * 3


def test_what_is_known_by_heart_is_scored_as_right_however_long_it_is(tmp_path):
    problems = generate_prosqa(2, 0, hops=3, notation="english")
    write_json(problems, tmp_path / "made.json")
    folder = save(tmp_path / "hub", "llama", max_position_embeddings=1024)
    recipe = Recipe(
        name="by heart",
        phases=(Phase(steps=150, stage=0, final_rate=0.1),),
        batch_size=2,
        problems=ProblemsPart(source=str(tmp_path / "made.json"), rename=False),
        model=ModelPart(hub=str(folder)),
        curriculum=CurriculumPart("cot", max_stage=3),
        optimizer=OptimizerPart(lr=0.01, warmup_steps=5),
    )
    run = trainer(recipe, tmp_path / "run", validation=problems)
    assert min(len(part.answer) + sum(map(len, part.steps)) for part in run.batches.parts) > 24
    run.train()
    assert log(tmp_path / "run")[-1]["accuracy"] == {"0": 1.0}
    assert "cut_off" not in log(tmp_path / "run")[-1]
    # One that was never trained does not end by itself, which is counted.
    short = dataclasses.replace(recipe, phases=(Phase(steps=1),))
    trainer(short, tmp_path / "other", validation=problems).train()
    assert log(tmp_path / "other")[-1]["accuracy"] == {"0": 0.0}
    assert log(tmp_path / "other")[-1]["cut_off"] == {"0": 2}


# --- the folder of a run --------------------------------------------------------------------------
