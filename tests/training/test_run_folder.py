"""The folder of a run: whole at every moment, and that of one run only."""

import dataclasses
import random
import shutil
import subprocess
import sys
import time

import pytest
from safetensors import SafetensorError
from small_runs import SMALL, log, log_lines, same, trainer, weights

from coconut_lab.model.coconut import Coconut
from coconut_lab.training.data import names_of
from coconut_lab.training.recipe import (
    load_recipe,
)
from coconut_lab.training.run_folder import RunFolder, TrainingError
from coconut_lab.training.start import new_model


def test_the_last_two_checkpoints_are_kept_in_the_order_of_their_steps(recipe, tmp_path):
    run = trainer(recipe, tmp_path / "run", save_every=2)
    run.train()
    kept = [path.name for path in RunFolder(tmp_path / "run").checkpoints()]
    assert kept == ["step-000008", "step-000009"]
    (tmp_path / "run" / "step-1000000").mkdir()
    (tmp_path / "run" / "step-999999").mkdir()
    assert RunFolder(tmp_path / "run").checkpoints()[-1].name == "step-1000000"


def test_a_folder_that_cannot_be_written_to(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot write to .*choose another folder"):
        trainer(recipe, tmp_path / "file" / "run").train()


def test_kill_9_at_random_times(tmp_path):
    source = tmp_path / "trial.yaml"
    source.write_text(SMALL.replace("steps: 3", "steps: 40"))
    path = tmp_path / "killed"
    # Saves so often that kills fall into steps and into saving; the last step is never left, so
    # that however late a kill comes on a busy machine, it finds a run.
    code = f"""
import time
from coconut_lab.training import Trainer, load_recipe
run = Trainer(load_recipe({str(source)!r}), {str(path)!r}, save_every=2, progress=False)
run.train(lambda entry: entry["step"] == run.recipe.total_steps - 1 and time.sleep(10_000))
"""
    rng = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code])
        # Some steps after it has begun to train, whatever it is doing then.
        goal = min(len(log_lines(path)) + rng.randint(3, 20), 119)
        while len(log_lines(path)) < goal:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
    run = trainer(load_recipe(source), path)
    steps = []
    got = weights(run.train(lambda entry: steps.append(entry["step"])))
    assert steps[0] > 0
    assert same(got, weights(trainer(load_recipe(source), tmp_path / "whole").train()))


def test_a_folder_belongs_to_one_run(recipe, tmp_path):
    def begun(recipe, **changes):
        model = new_model(recipe.model, names_of(recipe), 0)
        for name, weight in model.named_parameters():
            weight.requires_grad_(changes.get("trained", "") in name)
            if "base" in changes:
                weight.data += changes["base"]
        return trainer(recipe, tmp_path / "run", start=model, save_every=changes.get("every", 200))

    failed = begun(recipe)
    with pytest.raises(ZeroDivisionError):  # before its first checkpoint
        failed.train(lambda entry: 1 / 0)
    kept = log_lines(tmp_path / "run")
    other = dataclasses.replace(recipe, seed=8)
    faster = dataclasses.replace(recipe.optimizer, lr=0.5)
    for run, message in (
        (failed, "weights at the start"),  # which it has left, and cannot go back to
        (begun(other), r"holds another run \(recipe.seed: 3 there, 8 here\); choose another"),
        (begun(dataclasses.replace(recipe, optimizer=faster)), r"recipe.optimizer.lr: 0.01 there"),
        (begun(recipe, trained="embed"), r"\(numbers trained: 5248 there, 336 here\)"),
        (begun(recipe, base=1e-3), r"\(weights at the start: '\w+' there, '\w+' here\)"),
    ):
        with pytest.raises(TrainingError, match=message):
            run.train()
        assert log_lines(tmp_path / "run") == kept and len(kept) == 1
    begun(recipe, every=2).train()
    # Without what says whose it is, or with a log alone, nothing is taken over or wiped.
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(TrainingError, match=r"run.json cannot be read .*choose another folder"):
        begun(recipe).train()
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(TrainingError, match=r"holds a run but no run.json; choose another folder"):
        begun(recipe).train()
    assert len(log_lines(tmp_path / "run")) == 9


def test_a_run_whose_checkpoints_are_gone_keeps_its_log(recipe, tmp_path):
    trainer(recipe, tmp_path).train()
    kept = (tmp_path / "log.jsonl").read_text()
    shutil.rmtree(tmp_path / "step-000009")
    trainer(recipe, tmp_path).train()
    assert (tmp_path / "old-log.jsonl").read_text() == kept
    assert len(log_lines(tmp_path)) == 9


def test_a_second_process_is_refused_and_a_dead_one_is_not_waited_for(recipe, tmp_path):
    code = f"""
import os, sys, time
from coconut_lab.training.run_folder import RunFolder
with RunFolder({str(tmp_path)!r}).claimed({{}}):
    print("held", flush=True)
    time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(TrainingError, match=rf"in use by another run \(process {other.pid}\)"):
            trainer(recipe, tmp_path).train()
        other.kill()
    (tmp_path / "run.json").unlink()
    trainer(recipe, tmp_path).train()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("model.safetensors", "cut"),
        ("optimizer.safetensors", "changed"),
        ("training.json", "changed"),
        ("training.json", "gone"),
    ],
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(recipe, tmp_path, whole, name, how):
    trainer(recipe, tmp_path, save_every=2).train()
    path = tmp_path / "step-000009" / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    if how == "changed":  # one bit
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif how == "gone":
        path.unlink()
    with pytest.warns(UserWarning, match=r"the checkpoint .*step-000009 is damaged \("):
        model = trainer(recipe, tmp_path).train()
    assert same(weights(model), whole[0]) and log(tmp_path) == whole[1]
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert names == ["damaged-step-000009", "step-000008", "step-000009"]
    for folder in ("step-000008", "step-000009"):
        (tmp_path / folder / name).write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(TrainingError, match="no checkpoint in .* is whole; choose another folder"),
    ):
        trainer(recipe, tmp_path).train()
    assert len(log_lines(tmp_path)) == 9


def test_what_a_killed_process_left_over_is_swept(recipe, tmp_path):
    for name in (".step-000002.x1", ".step-000004.old.x2", ".model.x3"):
        (tmp_path / name / "content").mkdir(parents=True)
    (tmp_path / ".log.jsonl.x4").touch()
    (tmp_path / ".mine").touch()
    trainer(recipe, tmp_path).train()
    assert {path.name for path in tmp_path.iterdir() if path.name[0] == "."} == {".mine"}


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")],
    ids=["OSError", "SafetensorError"],
)
def test_a_full_disk_while_saving_leaves_the_older_checkpoint(
    recipe, tmp_path, monkeypatch, whole, error
):
    run = trainer(recipe, tmp_path, save_every=2)
    usual = Coconut.write_files

    def fails_later(self, folder, *rest):
        usual(self, folder, *rest)
        if "step-000004" in folder.name:
            raise error

    monkeypatch.setattr(Coconut, "write_files", fails_later)
    told = r"cannot write the checkpoint of step 4 to .*No space left.*step-000002.*goes on$"
    with pytest.raises(TrainingError, match=told) as failed:
        run.train()
    assert "\n" not in str(failed.value)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["step-000002"]
    assert same(weights(trainer(recipe, tmp_path).train()), whole[0])
