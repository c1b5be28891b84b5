"""The training monitor without a browser: runs, stops, failures."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading
import time

import pytest
from monitored import STEPS, FakeTrainer, said, scores, small_trainer

from coconut_lab.checkpoints import shipped as checkpoints
from coconut_lab.explorers import TrainingMonitor
from coconut_lab.explorers.monitor.drawing import render
from coconut_lab.explorers.monitor.state import Status, elapsed, read_log
from coconut_lab.explorers.monitor.widget import REDRAW_SECONDS
from coconut_lab.training.trainer import Trainer


def test_a_whole_run_prints_nothing(capsys) -> None:
    trainer = FakeTrainer()
    monitor = TrainingMonitor(trainer)
    assert monitor.train() == "the model"
    assert monitor.state.status == Status.DONE
    assert said(monitor.picture.value, "status") == "done"
    assert said(monitor.picture.value, "pace").startswith("step 40 of 40 · 0:40 of training")
    assert trainer.progress, "the bar was only off while the monitor watched"
    assert capsys.readouterr() == ("", "")
    assert repr(monitor) == "TrainingMonitor(trial, 40 steps)"
    assert monitor._repr_mimebundle_()["text/plain"] == repr(monitor)


def test_it_is_drawn_often_enough_and_not_more_often() -> None:
    drawn = []
    monitor = TrainingMonitor(FakeTrainer(pause=0.02))
    monitor.picture.observe(lambda change: drawn.append(time.monotonic()), "value")
    monitor.train()
    assert drawn[-1] - drawn[0] > 2 * REDRAW_SECONDS
    # One at the start, one at the end, and in between no closer than the least distance.
    assert all(b - a >= 0.9 * REDRAW_SECONDS for a, b in itertools.pairwise(drawn[1:-1]))
    assert len(drawn) >= 4
    assert monitor.picture.value == render(monitor.state)
    assert monitor.state.done == STEPS


def wait_until(holds, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def test_stop_in_the_background_and_go_on(tmp_path) -> None:
    trainer = FakeTrainer(tmp_path, pause=0.01)
    monitor = TrainingMonitor(trainer)
    assert monitor.start() is None
    wait_until(lambda: trainer.step >= 5)
    assert not monitor.stop_button.disabled
    with pytest.raises(RuntimeError, match="runs already"):
        monitor.train()
    with pytest.raises(RuntimeError, match="runs already"):
        monitor.start()
    monitor.stop_button.click()
    with pytest.raises(KeyboardInterrupt, match="run again to go on"):
        monitor.wait()
    at = trainer.step
    assert at < STEPS
    assert said(monitor.picture.value, "status") == f"stopped at step {at}; run again to go on"
    assert monitor.stop_button.disabled
    assert monitor.train() == "the model"
    assert [entry.step for entry in monitor.state.entries] == list(range(STEPS))
    assert elapsed(monitor.state.entries) == STEPS


def test_a_stop_that_comes_before_the_run_has_begun_is_not_lost() -> None:
    trainer = FakeTrainer()
    really = trainer.train

    def slow_to_begin(on_step):
        wait_until(lambda: trainer.stops)
        return really(on_step)  # which forgets that it was asked

    trainer.train = slow_to_begin
    monitor = TrainingMonitor(trainer)
    monitor.start()
    monitor.stop()
    with pytest.raises(KeyboardInterrupt):
        monitor.wait()
    assert trainer.step == 1


def test_a_cell_that_waits_takes_the_button_away_and_says_why() -> None:
    monitor = TrainingMonitor(FakeTrainer(pause=0.01))
    seen = []
    monitor.picture.observe(
        lambda change: seen.append((monitor.stop_button.disabled, monitor.hint.value)), "value"
    )
    monitor.train()
    disabled, hint = seen[0]
    assert disabled and "interrupt the kernel" in hint
    assert monitor.hint.value == ""
    monitor.trainer.step = 0
    monitor.start()
    assert not monitor.stop_button.disabled and not monitor.hint.value
    monitor.wait()


@pytest.mark.usefixtures("usual_interrupts")
def test_an_interrupt_while_waiting_stops_the_run() -> None:
    trainer = FakeTrainer(pause=0.01)
    monitor = TrainingMonitor(trainer)
    monitor.start()
    threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt, match="stopped after step"):
        monitor.wait()
    assert monitor.state.status == Status.STOPPED
    assert 0 < trainer.step < STEPS


def test_a_run_that_goes_on_does_some_steps_again(tmp_path) -> None:
    """The log is ahead of the last checkpoint; its entries give way to the new ones."""
    first = FakeTrainer(tmp_path)
    for step in range(20):
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write(json.dumps(first.entry(step, 1.0 * step)) + "\n")
    first.step = 12
    monitor = TrainingMonitor(first)
    assert "not started again; the log ends at step 20" in said(monitor.picture.value, "status")
    monitor.train()
    assert [entry.step for entry in monitor.state.entries] == list(range(STEPS))


def test_a_failure_is_shown_and_raised() -> None:
    monitor = TrainingMonitor(FakeTrainer(fails_at=7))
    with pytest.raises(ArithmeticError, match="nan at step 7"):
        monitor.train()
    value = monitor.picture.value
    assert said(value, "status") == (
        "failed after step 7: the loss is nan at step 7; <no> checkpoint"
    )
    monitor.start()
    with pytest.raises(ArithmeticError):
        monitor.wait()
    assert monitor.trainer.progress


def test_what_cannot_be_done_says_so() -> None:
    with pytest.raises(ValueError, match="nothing to monitor"):
        TrainingMonitor()
    monitor = TrainingMonitor(FakeTrainer())
    monitor.stop()  # nothing runs, nothing happens
    assert monitor.state.status == Status.READY
    with pytest.raises(RuntimeError, match="no training was started"):
        monitor.wait()
    shown = TrainingMonitor.from_log(checkpoints.FOLDER / "tiny-coconut", "tiny-coconut")
    with pytest.raises(RuntimeError, match="shows a log"):
        shown.train()


@pytest.fixture
def trainer(tmp_path):
    """A real one, of a tiny model."""
    return small_trainer(tmp_path / "run", 3)


def test_a_real_trainer(trainer, capsys) -> None:
    monitor = TrainingMonitor(trainer)
    model = monitor.train()
    assert model is trainer.model
    assert monitor.state.status == Status.DONE
    assert monitor.state.entries == tuple(read_log(trainer.folder / "log.jsonl"))
    assert {step for step, _ in scores(monitor.picture.value)} == {2, 5, 8, 11}
    assert capsys.readouterr() == ("", "")


def test_an_interrupt_of_a_real_trainer(trainer) -> None:
    monitor = TrainingMonitor(trainer)
    really, interrupted = monitor.update, []

    def update(entry):
        really(entry)
        if entry["step"] == 4 and not interrupted:
            interrupted.append(entry)
            os.kill(os.getpid(), signal.SIGINT)

    monitor.update = update
    with pytest.raises(KeyboardInterrupt):
        monitor.train()
    status = said(monitor.picture.value, "status")
    assert re.fullmatch(r"stopped at step [56]; run again to go on", status)
    monitor.train()
    assert [entry.step for entry in monitor.state.entries] == list(range(12))
    assert monitor.state.status == Status.DONE


@pytest.mark.skipif(not hasattr(Trainer, "stop"), reason="this trainer cannot be asked to stop")
def test_the_button_stops_a_real_trainer_in_the_background(trainer) -> None:
    monitor = TrainingMonitor(trainer)
    really = monitor.update

    def update(entry):
        really(entry)
        if entry["step"] == 4:
            monitor.stop_button.click()

    monitor.update = update
    monitor.start()
    with pytest.raises(KeyboardInterrupt):
        monitor.wait()
    assert trainer.step == 5
    assert monitor.state.status == Status.STOPPED
    assert list(trainer.folder.glob("step-*")), "a checkpoint was written"
    monitor.update = really
    monitor.train()
    assert monitor.state.done == 12
