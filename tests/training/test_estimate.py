"""Estimates of a run: against counted operations, measured memory and the run's own batches."""

import dataclasses
import json
import math
import re
import types
from pathlib import Path

import pytest
import torch
import yaml
from shapes import CONFIGS, bpe_tokenizer
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import IGNORED, METHODS, Curriculum, Example
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prontoqa import generate_prontoqa
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa
from coconut_lab.tasks.word_problems import generate_arithmetic
from coconut_lab.training import trainer
from coconut_lab.training.__main__ import main
from coconut_lab.training.costs import Shape, activation_bytes, pass_flops
from coconut_lab.training.data import Batches
from coconut_lab.training.estimate import (
    GPUS,
    SHOWN,
    Gpu,
    detect_gpu,
    estimate_run,
    find_gpu,
    part_sizes,
)
from coconut_lab.training.recipe import (
    CurriculumPart,
    ModelPart,
    Phase,
    ProblemsPart,
    Recipe,
    RecipeError,
    load_recipe,
)
from coconut_lab.training.start import add_pause, new_model

NAMES = [*PRESETS["tiny"].entities, *PRESETS["tiny"].concepts]
TRIAL = Recipe(
    name="trial",
    phases=(Phase(steps=5), Phase(steps=4, stage=1), Phase(steps=3, stage=3)),
    batch_size=8,
    micro_batch=4,
    problems=ProblemsPart(count=40),
    model=ModelPart(layers=2, heads=2, width=16, feed_forward=16),
    curriculum=CurriculumPart(max_stage=2),
)
SHAPES = ["gpt2", "llama", "qwen"]


def sized(shape: str, attention: str = "sdpa") -> Coconut:
    """A random model large enough that matrices outweigh what the formulas leave out."""
    tokenizer = bpe_tokenizer()
    config = CONFIGS[shape](len(tokenizer))
    changes = {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 4}
    if shape != "gpt2":
        changes |= {"intermediate_size": 160, "num_key_value_heads": 2, "head_dim": 16}
    if shape == "qwen":
        changes["layer_types"] = ["full_attention"] * 3
    for name, value in (changes | {"max_position_embeddings": 256}).items():
        setattr(config, name, value)
    config._attn_implementation = attention
    return Coconut(AutoModelForCausalLM.from_config(config), tokenizer)


def rows_of(model: Coconut, thoughts: int, rows: int = 8, columns: int = 160) -> dict:
    """Rows of a question, `thoughts` thoughts and 20 labelled tokens, one of them padded."""
    tokens = model.tokens
    latent = [tokens.bot, *[tokens.thought] * thoughts, tokens.eot]
    found = []
    for row in range(rows):
        question = [5] * (columns - 20 - len(latent) - (row == 0))
        found.append(
            Example(question + latent + [7] * 20, [IGNORED] * len(question + latent) + [7] * 20)
        )
    return collate(found, model.tokenizer)


def bytes_kept(model: Coconut, batch: dict, **how: bool) -> int:
    rows, columns, places, labelled, first = part_sizes(batch, slice(None), model.tokens.thought)
    how |= {"thoughts": len(places), "unread": min([first, *(place - 1 for place in places)])}
    return activation_bytes(Shape(model), rows, columns, labelled, **how)


# --- operations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(
    ("shape", "thoughts", "trained"),
    [
        *[(shape, thoughts, ".") for shape in SHAPES for thoughts in (0, 3)],
        ("llama", 2, "embed_tokens"),  # frozen weights need no gradient
    ],
)
def test_operations_are_those_that_torch_counts(
    shape: str, thoughts: int, trained: str, recompute: bool
) -> None:
    model = sized(shape, "eager").train()
    for name, weight in model.named_parameters():
        weight.requires_grad_(trained in name)
    batch = rows_of(model, thoughts)
    with FlopCounterMode(display=False) as counter:
        model(**batch, recompute=recompute).loss.backward()
    sizes = part_sizes(batch, slice(None), model.tokens.thought)
    passes = pass_flops(Shape(model), *sizes, recompute=recompute)
    assert len(passes) == thoughts + 1
    assert sum(passes) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_gpt2_has_the_published_size() -> None:
    # 124 million parameters (the model card of openai-community/gpt2), 6 per weight and token.
    tokenizer = bpe_tokenizer()
    with torch.device("meta"):
        model = Coconut(GPT2LMHeadModel(GPT2Config()), tokenizer)
    shape = Shape(model)
    assert round(shape.parameters / 1e6) == 124
    assert shape.linear == 12 * 12 * 768**2
    flops = sum(pass_flops(shape, 1, 1000, [], 1000))
    dense = 6 * 1000 * (shape.linear + 50257 * 768)
    assert flops == dense + 12 * 12 * 1000 * 1000 * 768


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recompute", "bf16"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("thoughts", [0, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_memory_at_the_peak_is_near_what_torch_tracks(
    shape: str, thoughts: int, recompute: bool, bf16: bool
) -> None:
    model = sized(shape).train()
    batch = rows_of(model, thoughts)
    model(**batch).loss.backward()  # gradients are there by now
    tracker = MemTracker()
    tracker.track_external(model, *batch.values())
    with tracker:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(**batch, recompute=recompute).loss
        loss.backward()
    found = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
    want = sum(size for kind, size in found.items() if str(kind)[12:] in ("ACT", "TEMP"))
    copies = 2 * Shape(model).linear if bf16 else 0  # of the weights, by autocast
    # Measured: 0.97 to 1.14.
    got = bytes_kept(model, batch, bf16=bf16, recompute=recompute) + copies
    assert 0.95 < got / want < 1.2


def test_more_rows_take_as_much_more_each_and_the_weights_nothing_more() -> None:
    model, batches, curriculum = made(TRIAL)
    small = estimate_run(TRIAL, model, batches, curriculum, GPUS["T4"])
    wide = dataclasses.replace(TRIAL, micro_batch=8)
    large = estimate_run(wide, model, batches, curriculum, GPUS["T4"])
    assert (small.rows, small.parts, large.rows, large.parts) == (4, 2, 8, 1)
    assert large.memory["activations"] == 2 * small.memory["activations"]
    # As AdamW holds them: two moments beside each weight and its gradient, in float32.
    held = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    sizes = {"weights": held, "gradients": held, "optimizer": 2 * held}
    assert small.memory == sizes | {"activations": 4 * small.per_row}


# --- batches -------------------------------------------------------------------------------------


def made(recipe: Recipe) -> tuple[Coconut, Batches, Curriculum]:
    """The model, batches and curriculum of a recipe."""
    problems = generate_prosqa(recipe.problems.count, 1)
    model = new_model(recipe.model, NAMES, 0)
    part = recipe.curriculum
    return (
        model,
        Batches(problems, model.tokenizer, recipe.batch_size, 0, NAMES),
        Curriculum(part.method, part.max_stage, mix_probability=part.mix_probability),
    )


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("objective", ["curriculum", "walks"])
def test_tokens_and_passes_are_those_of_the_batches(objective: str, processes: int) -> None:
    recipe = dataclasses.replace(TRIAL, objective=objective)
    model, batches, curriculum = made(recipe)
    found = estimate_run(recipe, model, batches, curriculum, GPUS["L4"], processes, samples=5)
    step, widest = 0, []
    for phase, got in zip(recipe.phases, found.phases, strict=True):
        steps = range(step, step := step + phase.steps)
        real = [batches.training(step, recipe, phase, curriculum) for step in steps]
        tokens = [int(batch["attention_mask"].sum()) for batch in real]
        assert got.tokens == sum(tokens) / len(tokens)
        assert got.computed == sum(batch["input_ids"].numel() for batch in real) / len(real)
        assert got.passes == model(**real[0]).passes
        assert got.steps == phase.steps
        widest += [batch["input_ids"].shape[1] for batch in real]
    assert [phase.passes for phase in found.phases] == (
        [1, 1, 1] if objective == "walks" else [1, 2, 3]
    )
    assert found.rows * found.parts * processes == 8
    assert found.columns == max(widest) or objective == "curriculum"


@pytest.mark.parametrize("mixing", [0.0, 0.5])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_batch_is_larger_than_the_longest_rows(method: str, mixing: float) -> None:
    part = CurriculumPart(method, max_stage=2, mix_probability=mixing)
    recipe = dataclasses.replace(TRIAL, curriculum=part)
    model, batches, curriculum = made(recipe)
    if METHODS[method].stand_in == "pauses":
        add_pause(model)
    bound = estimate_run(recipe, model, batches, curriculum, GPUS["L4"])
    widest = most = 0
    for phase in recipe.phases:
        for step in range(40):
            batch = batches.training(step, recipe, phase, curriculum)
            widest = max(widest, batch["input_ids"].shape[1])
            most = max(most, int((batch["labels"] != IGNORED).sum(1).max()))
    assert widest <= bound.columns <= 1.3 * widest
    assert most == bound.labelled


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(RecipeError, match="batch_size: 8 does not divide among 3 processes"):
        estimate_run(TRIAL, *made(TRIAL), GPUS["L4"], processes=3)


# --- verdicts ------------------------------------------------------------------------------------


def test_the_micro_batch_that_is_named_fits_and_one_more_does_not() -> None:
    parts = made(TRIAL)
    large = estimate_run(TRIAL, *parts, GPUS["L4"])
    assert large.fits and large.verdict() == "fits"
    fixed = large.peak - large.rows * large.per_row
    tight = Gpu("tight", (fixed + 2.5 * large.per_row) / 0.9e9, 1.0, 1.0)
    found = estimate_run(TRIAL, *parts, tight)
    assert not found.fits and "micro_batch: 2 would" in found.verdict()
    for size, fits in ((2, True), (3, False)):
        again = estimate_run(dataclasses.replace(TRIAL, micro_batch=size), *parts, tight)
        assert again.fits == fits
    hopeless = estimate_run(TRIAL, *parts, Gpu("none", fixed / 1e9, 1.0, 1.0))
    assert not hopeless.fits and "not fit with a single row" in hopeless.verdict()


def test_hours_follow_the_rate_and_never_fall_below_the_time_of_a_pass() -> None:
    parts = made(TRIAL)
    slow = estimate_run(TRIAL, *parts, Gpu("slow", 16, 1e-6, 1e-6))
    slower = estimate_run(TRIAL, *parts, Gpu("slower", 16, 5e-7, 5e-7))
    assert slower.hours == pytest.approx([2 * hours for hours in slow.hours])
    flops = sum(phase.steps * phase.flops for phase in slow.phases)
    assert slow.hours == pytest.approx([flops / (1e6 * use) / 3600 for use in (0.5, 0.15)])
    fast = estimate_run(TRIAL, *parts, Gpu("fast", 16, 1e9, 1e9))
    passes = 2 * (5 * 1 + 4 * 2 + 3 * 3)  # two parts in each step
    assert fast.hours == pytest.approx([passes * 2 * 0.5e-3 / 3600, passes * 2 * 2e-3 / 3600])
    unknown = estimate_run(TRIAL, *parts, Gpu("unknown", 16, None, None))
    assert "time unknown: fits" in unknown.line() and unknown.table().count("  unknown") == 3
    in_epochs = dataclasses.replace(TRIAL, phases=(Phase(epochs=2),))
    assert estimate_run(in_epochs, *parts, GPUS["L4"]).phases[0].steps == 2 * 40 // 8


def test_names_of_gpus() -> None:
    assert find_gpu("a100 80") is GPUS["A100-80"] and find_gpu("rtx3090") is GPUS["RTX-3090"]
    with pytest.raises(RecipeError, match="--gpu: 'abacus' is none of T4, RTX-3090, .*H100-80"):
        find_gpu("abacus")
    assert GPUS["T4"].rate(bf16=True) == GPUS["T4"].rate(bf16=False) == 8.1e12
    for gpu in GPUS.values():
        assert gpu.memory > 10 and gpu.fp32 and (gpu.bf16 or 1e9) > gpu.fp32


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100-80"),
        ("Tesla T4", "T4"),
        ("NVIDIA GeForce RTX 3090", "RTX-3090"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", None),
        ("NVIDIA H200", "H200"),
    ],
)
def test_the_gpu_that_is_there(
    name: str, known: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert detect_gpu() is None or torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    found = types.SimpleNamespace(name=name, total_memory=23 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: found)
    gpu = detect_gpu()
    assert gpu is not None and gpu.name == name and math.isclose(gpu.memory, 23)
    if known is None:
        assert math.isnan(gpu.rate(True))
    else:
        assert (gpu.bf16, gpu.fp32) == (GPUS[known].bf16, GPUS[known].fp32)


# --- the dry run ---------------------------------------------------------------------------------


def written(recipe: Recipe, folder: Path, **changes: object) -> list[str]:
    """Write a recipe as a file, and give the arguments for its dry run."""
    path = folder / f"{recipe.name}.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(recipe.to_dict() | changes))))
    return [str(path), "--output", str(folder / "run"), "--dry-run"]


def test_a_dry_run_says_what_a_gpu_will_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*written(TRIAL, tmp_path), "--gpu", "l4"]) == 0
    told = capsys.readouterr().out
    assert "effective batch 8: 1 process(es) x 2 part(s) of 4 problems" in told
    found = estimate_run(TRIAL, *made(TRIAL), GPUS["L4"])
    assert told.endswith(found.table() + "\n")
    rows = [re.split(r"  +", line) for line in found.table().splitlines()[2:5]]
    assert [row[:3] for row in rows] == [
        ["0", "0", "2 x 1"],
        ["1", "1", "2 x 2"],
        ["2", "3", "2 x 3"],
    ]
    assert [row[3] for row in rows] == [f"{phase.tokens:,.0f}" for phase in found.phases]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_without_a_gpu_shows_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "detect_gpu", lambda: None)
    assert main(written(TRIAL, tmp_path)) == 0
    told = capsys.readouterr().out
    assert re.findall(r"^1 x (\S+) \(.*: fits$", told, re.MULTILINE) == list(SHOWN)
    assert "T4 (16 GB, bf16, which it has no units for: at the rate of fp32)" in told
    monkeypatch.setattr(trainer, "detect_gpu", lambda: Gpu("of this machine", 12, 1.0, 1.0))
    assert main(written(TRIAL, tmp_path)) == 0
    told = capsys.readouterr().out
    assert "1 x of this machine (12 GB, bf16)" in told and "A100" not in told


def test_a_dry_run_fails_early(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = written(TRIAL, tmp_path)
    assert main([*arguments, "--gpu", "abacus"]) == 2
    assert "'abacus' is none of T4" in capsys.readouterr().err
    large = estimate_run(TRIAL, *made(TRIAL), GPUS["L4"])
    room = (large.peak - 1.5 * large.per_row) / 0.9e9
    monkeypatch.setitem(GPUS, "thimble", Gpu("thimble", room, 1.0, 1.0))
    assert main([*arguments, "--gpu", "thimble"]) == 2
    told = capsys.readouterr().err
    assert "micro_batch: 4 rows at once" in told and "does not fit; micro_batch: 2 would" in told
    with pytest.raises(SystemExit):
        main([*arguments[:-1], "--gpu", "T4"])
    assert "--gpu goes with --dry-run" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["prosqa", "prontoqa", "gsm8k"])
def test_the_paper_s_recipes_have_a_dry_run(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Model and problems come from small files here; everything else is as the recipe says.
    problems = {
        "prosqa": lambda: generate_prosqa(200, 1, "paper", notation="english"),
        "prontoqa": lambda: generate_prontoqa(200, 1),
        "gsm8k": lambda: generate_arithmetic(200, 1, steps=(3, 5)),
    }[task]()
    write_json(problems, tmp_path / "problems.json")
    tokenizer = bpe_tokenizer(thoughts=False)
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=2048, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    recipe = load_recipe(f"gpt2-{task}")
    stages = min(recipe.curriculum.max_stage, max(len(problem.steps) for problem in problems))
    recipe = dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, hub=str(tmp_path / "gpt2")),
        problems=dataclasses.replace(
            recipe.problems, source=str(tmp_path / "problems.json"), validation=None
        ),
        curriculum=dataclasses.replace(recipe.curriculum, max_stage=stages),
        phases=tuple(phase for phase in recipe.phases if phase.stage <= stages + 1),
    )
    assert main([*written(recipe, tmp_path), "--gpu", "A100-40"]) == 0
    told = capsys.readouterr().out
    assert "effective batch 128: 1 process(es) x 4 part(s) of 32 problems" in told
    each = recipe.curriculum.thoughts_per_step
    for phase in recipe.phases:
        passes = min(phase.stage, stages) * each + 1
        assert re.search(rf"^\d+ +{phase.stage} +4 x {passes} ", told, re.MULTILINE)
    assert "1 x A100-40 (40 GB, bf16)" in told
