"""Schedules: phases, rates and resets, as they are told and as they are trained."""

import dataclasses
import re

import pytest
from small_runs import SMALL, log, trainer

from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.__main__ import main
from coconut_lab.training.recipe import Phase
from coconut_lab.training.schedule import schedule


def test_schedule_and_resets(recipe, tmp_path):
    entries = []
    problems = generate_prosqa(10, seed=9)
    run = trainer(recipe, tmp_path / "run", validation=problems)
    run.train(entries.append)
    assert [entry["stage"] for entry in entries] == [0] * 3 + [1] * 3 + [3] * 3
    # Two warm-up steps after each reset, which comes with each new stage.
    assert [entry["lr"] for entry in entries] == pytest.approx([0.005, 0.01, 0.01] * 3)
    scored = [entry for entry in entries if "accuracy" in entry]
    assert [entry["step"] for entry in scored] == [2, 5, 8]
    assert all(list(entry["accuracy"]) == ["0", "1", "2"] for entry in scored)
    assert len(log(tmp_path / "run")) == 9


def test_without_resets_the_state_lives_on(recipe, tmp_path):
    part = dataclasses.replace(recipe.optimizer, reset="never")
    entries = []
    run = trainer(dataclasses.replace(recipe, optimizer=part), tmp_path / "run")
    run.train(entries.append)
    assert [entry["lr"] for entry in entries] == pytest.approx([0.005] + [0.01] * 8)
    state = run._optimizer.optimizer.state_dict()["state"]
    assert {float(value["step"]) for value in state.values()} == {9.0}


def test_resets_every_epoch_as_the_published_code_does(recipe, tmp_path):
    part = dataclasses.replace(recipe.optimizer, reset="every_epoch")
    often = dataclasses.replace(recipe, optimizer=part)
    # 40 problems in batches of 8: an epoch has 5 steps; stages change at 3 and 6.
    assert [step.step for step in schedule(often, 40) if step.reset] == [0, 3, 5, 6]
    assert [step.step for step in schedule(recipe, 40) if step.reset] == [0, 3, 6]
    entries = []
    trainer(often, tmp_path / "run").train(entries.append)
    rates = [entry["lr"] for entry in entries]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.005, 0.01, 0.005, 0.005, 0.01, 0.01])


def test_phases_in_epochs_become_steps(recipe):
    phases = (Phase(epochs=2), Phase(stage=1, steps=4), Phase(stage=3, epochs=1))
    found = dataclasses.replace(recipe, phases=phases).in_steps(41)
    assert [phase.steps for phase in found.phases] == [10, 4, 5]
    assert found.total_steps == 19 and not any(phase.epochs for phase in found.phases)
    in_epochs = dataclasses.replace(recipe, phases=phases)
    assert list(schedule(in_epochs, 41)) == list(schedule(found, 41))
    # Fewer problems than a batch holds: each step is an epoch.
    often = dataclasses.replace(in_epochs.optimizer, reset="every_epoch")
    few = list(schedule(dataclasses.replace(in_epochs, optimizer=often), 5))
    assert len(few) == 2 + 4 + 1 and all(step.reset for step in few)


def test_the_schedule_is_told_before_training(recipe, tmp_path, capsys):
    source = tmp_path / "trial.yaml"
    source.write_text(SMALL)
    assert main([str(source), "--output", str(tmp_path / "run"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "effective batch 8: 1 process(es) x 1 part(s) of 8 problems" in told
    lines = told.splitlines()
    rows = [re.split(r"  +", line) for line in lines[3:6]]
    assert [row[1:6] for row in rows] == [
        ["0", "nothing", "0", "0.3", "3"],
        ["1", "first step", "1", "0.3", "3"],
        ["3", "all steps", "2", "0", "3"],
    ]
    assert not (tmp_path / "run").exists()
