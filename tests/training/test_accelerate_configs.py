"""The files of configs/: each is read by `accelerate`, and started on CPU processes (gloo)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import FullyShardedDataParallelPlugin

from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.data import validation_problems
from coconut_lab.training.recipe import load_recipe
from coconut_lab.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
#: Stages are mixed, so that processes hold rows with different numbers of thoughts.
RECIPE = """
name: trial
seed: 3
batch_size: 8
micro_batch: 2
problems: {preset: tiny, source: FOLDER/train.json, validation: FOLDER/validation.json}
model: {layers: 2, heads: 2, width: 16, feed_forward: 16, positions: 96}
curriculum: {method: coconut, max_stage: 2, mix_probability: 0.3}
phases:
  - {stage: 0, steps: 3}
  - {stage: 1, steps: 3}
  - {stage: 3, steps: 3, mix_probability: 0.0}
optimizer: {lr: 1e-2, warmup_steps: 2}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    write_json(generate_prosqa(40, 1), folder / "train.json")
    write_json(generate_prosqa(12, 2), folder / "validation.json")
    path = folder / "trial.yaml"
    path.write_text(RECIPE.replace("FOLDER", str(folder)))
    return path


@pytest.fixture(scope="module")
def whole(recipe: Path) -> Path:
    """The folder of a run in this process alone."""
    trial = load_recipe(recipe)
    run = Trainer(
        trial, recipe.parent / "whole", validation=validation_problems(trial), progress=False
    )
    run.train()
    run.save(run.folder / "model")
    return run.folder


def start(config: str, processes: int, recipe: Path, folder: Path, stop_after: int = -1) -> str:
    """Run `accelerate launch` with a file of configs/, on CPUs; return all that it says."""
    script = [str(ROOT / "tests" / "fsdp_on_cpu.py")] if config == "fsdp.yaml" else (
        ["-m", "coconut_lab.training"]
    )  # fmt: skip
    done = subprocess.run(
        [
            *[sys.executable, "-m", "accelerate.commands.launch"],
            *["--config_file", str(CONFIGS / config), "--num_processes", str(processes)],
            *[*script, str(recipe), "--output", str(folder)],
        ],
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "STOP_AFTER": str(stop_after)},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert (done.returncode == 0) == (stop_after < 0), done.stderr[-3000:]
    return done.stdout + done.stderr


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def assert_same_run(got: Path, want: Path) -> None:
    """Losses, norms and scores of every step, up to what the order of additions changes."""
    ours, theirs = log(got), log(want)
    assert [entry["step"] for entry in ours] == list(range(9)) == [e["step"] for e in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-3)
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-2)
        assert a["lr"] == b["lr"]
    assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=1e-5)


def assert_same_model(got: Path, want: Path) -> None:
    ours, theirs = (Coconut.from_pretrained(path).state_dict() for path in (got, want))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=0, atol=5e-3)


@pytest.mark.parametrize(
    ("name", "kind", "processes"),
    [("one_gpu.yaml", "NO", 1), ("several_gpus.yaml", "MULTI_GPU", 4), ("fsdp.yaml", "FSDP", 4)],
)
def test_accelerate_reads_the_file(name: str, kind: str, processes: int) -> None:
    found = load_config_from_file(str(CONFIGS / name))  # refuses keys that it does not know
    assert found.distributed_type.value == kind and found.num_processes == processes
    assert not found.use_cpu and found.num_machines == 1
    assert sorted(path.name for path in CONFIGS.glob("*.yaml")) == [
        "fsdp.yaml", "one_gpu.yaml", "several_gpus.yaml",
    ]  # fmt: skip


def test_the_settings_of_fsdp_are_settings_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = yaml.safe_load((CONFIGS / "fsdp.yaml").read_text())["fsdp_config"]
    # The launcher hands them on as variables of the environment.
    for name, value in settings.items():
        monkeypatch.setenv(name.upper(), str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
    assert not plugin.cpu_ram_efficient_loading
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"


@pytest.mark.parametrize(
    ("ending", "status", "told"),
    [
        ("lambda self: self.model", 0, "steps done"),
        ("lambda self: 1 / 0", 1, "ZeroDivisionError"),
        ("lambda self: os.kill(os.getpid(), 2)", 130, "coconut_lab.training: interrupted"),
    ],
)
def test_however_a_run_ends_no_thread_of_the_group_meets_the_end_of_python(
    ending: str, status: int, told: str, recipe: Path, tmp_path: Path
) -> None:
    # A thread that does so ends the process with SIGABRT, now and then. Here Python's end always
    # does; the one process has a group all the same.
    code = f"""
import atexit, os, signal, sys
from coconut_lab.training.__main__ import main
from coconut_lab.training.distributed import end_process
from coconut_lab.training.trainer import Trainer

atexit.register(os.abort)
signal.signal(signal.SIGINT, signal.default_int_handler)
Trainer.train = {ending}
end_process(main)
"""
    group = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(recipe), "--output", str(tmp_path / "run")],
        env=os.environ | group | {"MASTER_PORT": "0", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == status and told in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize(
    ("config", "processes", "parts"), [("one_gpu.yaml", 1, 4), ("several_gpus.yaml", 2, 2)]
)
def test_processes_with_the_whole_model_each(
    config: str, processes: int, parts: int, recipe: Path, whole: Path, tmp_path: Path
) -> None:
    told = start(config, processes, recipe, tmp_path / "run")
    line = f"effective batch 8: {processes} process(es) x {parts} part(s) of 2 problems"
    assert told.count(line) == 1
    assert_same_run(tmp_path / "run", whole)
    assert_same_model(tmp_path / "run" / "model", whole / "model")


@pytest.mark.parametrize("config", ["several_gpus.yaml", "fsdp.yaml"])
def test_two_processes_that_compute_layers_again(
    config: str, recipe: Path, whole: Path, tmp_path: Path
) -> None:
    again = recipe.parent / "again.yaml"
    again.write_text(recipe.read_text() + "recompute: true\n")
    start(config, 2, again, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


def test_two_processes_that_share_the_weights(recipe: Path, whole: Path, tmp_path: Path) -> None:
    told = start("fsdp.yaml", 2, recipe, tmp_path / "run", stop_after=4)
    assert "2 process(es) x 2 part(s) of 2 problems" in told and "stopped after step 4" in told
    assert [path.name for path in (tmp_path / "run").glob("step-*")] == ["step-000005"]
    shutil.copytree(tmp_path / "run", tmp_path / "alone")

    # Its checkpoint is whole: two processes go on with it, and so does one.
    start("fsdp.yaml", 2, recipe, tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)
    assert_same_model(tmp_path / "run" / "model", whole / "model")
    Trainer(load_recipe(recipe), tmp_path / "alone", progress=False).train()
    assert_same_run(tmp_path / "alone", whole)

    # Scored by both processes together, after each phase.
    ours, theirs = log(tmp_path / "run"), log(whole)
    assert [entry["step"] for entry in ours if "accuracy" in entry] == [2, 5, 8]
    assert [entry.get("accuracy") for entry in ours] == [e.get("accuracy") for e in theirs]
