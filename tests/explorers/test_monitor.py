"""The training monitor without a browser: runs, stops, failures."""

import json
import os
import signal
from types import SimpleNamespace

import pytest
from monitored import STEPS, FakeTrainer, scores, small_trainer, steps_of
from traitlets import TraitError

from coconut_lab.checkpoints import shipped as checkpoints
from coconut_lab.explorers import TrainingMonitor
from coconut_lab.explorers.monitor import widget
from coconut_lab.explorers.monitor.data import elapsed, monitor_data, read_log


def test_a_whole_run_prints_nothing(capsys) -> None:
    trainer = FakeTrainer()
    monitor = TrainingMonitor(trainer)
    assert monitor.train() == "the model"
    assert monitor.data["status"] == "done"
    assert (monitor.data["done"], monitor.data["points"][-1][-1]) == (40, 40)
    assert trainer.progress, "the bar was only off while the monitor watched"
    assert capsys.readouterr() == ("", "")


def test_it_is_drawn_often_enough_and_not_more_often(monkeypatch) -> None:
    """By a clock on which each step takes a tenth of the least time between two pictures."""
    trainer, drawn = FakeTrainer(), []
    monkeypatch.setattr(
        widget, "time", SimpleNamespace(monotonic=lambda: trainer.step * widget.REDRAW_SECONDS / 10)
    )
    monitor = TrainingMonitor(trainer)
    monitor.observe(lambda change: drawn.append(trainer.step), "data")
    monitor.train()
    assert drawn == [0, 10, 20, 30, 40, 40]


def test_stop_in_the_background_and_go_on(tmp_path) -> None:
    trainer = FakeTrainer(tmp_path, holds_at=5)
    monitor = TrainingMonitor(trainer)
    assert monitor.start() is None
    trainer.held.wait()
    assert (monitor.data["status"], monitor.data["waits"]) == ("running", False)
    for again in (monitor.train, monitor.start):
        with pytest.raises(RuntimeError, match="runs already"):
            again()
    monitor.asked_to_stop = True  # as the button does
    with pytest.raises(KeyboardInterrupt, match="run again to go on"):
        monitor.wait()
    assert (monitor.data["status"], monitor.data["done"]) == ("stopped", 6)
    assert monitor.train() == "the model"
    assert not monitor.asked_to_stop
    assert steps_of(monitor) == list(range(1, STEPS + 1))
    assert elapsed(read_log(tmp_path / "log.jsonl")) == monitor.data["points"][-1][-1] == STEPS


def test_a_stop_that_comes_before_the_run_has_begun_is_not_lost() -> None:
    trainer = FakeTrainer()
    really = trainer.train

    def slow_to_begin(on_step):
        trainer.asked.wait()
        return really(on_step)  # which forgets that it was asked

    trainer.train = slow_to_begin
    monitor = TrainingMonitor(trainer)
    monitor.start()
    monitor.stop()
    with pytest.raises(KeyboardInterrupt):
        monitor.wait()
    assert trainer.step == 1


@pytest.mark.usefixtures("usual_interrupts")
def test_while_a_cell_waits_the_monitor_says_so_and_an_interrupt_stops_the_run() -> None:
    trainer, seen = FakeTrainer(holds_at=5), []
    monitor = TrainingMonitor(trainer)
    monitor.start()
    trainer.held.wait()
    assert not monitor.data["waits"]

    def interrupt(change) -> None:
        if change.new["waits"] and not seen:
            seen.append(change.new["status"])
            os.kill(os.getpid(), signal.SIGINT)

    monitor.observe(interrupt, "data")
    with pytest.raises(KeyboardInterrupt, match="stopped after step 5"):
        monitor.wait()
    assert seen == ["running"]
    assert (monitor.data["status"], monitor.data["waits"]) == ("stopped", False)


def test_a_run_that_goes_on_does_some_steps_again(tmp_path) -> None:
    """The log is ahead of the last checkpoint; its entries give way to the new ones."""
    first = FakeTrainer(tmp_path)
    for step in range(20):
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write(json.dumps(first.entry(step, 1.0 * step)) + "\n")
    first.step = 12
    monitor = TrainingMonitor(first)
    assert (monitor.data["status"], monitor.data["done"]) == ("ready", 20)
    monitor.train()
    assert steps_of(monitor) == list(range(1, STEPS + 1))


def test_a_failure_is_shown_and_raised() -> None:
    monitor = TrainingMonitor(FakeTrainer(fails_at=7))
    with pytest.raises(ArithmeticError, match="nan at step 7"):
        monitor.train()
    assert (monitor.data["status"], monitor.data["done"]) == ("failed", 7)
    assert monitor.data["message"] == "the loss is nan at step 7; <no> checkpoint"
    monitor.start()
    with pytest.raises(ArithmeticError):
        monitor.wait()
    assert monitor.trainer.progress


def test_what_cannot_be_done_says_so() -> None:
    with pytest.raises(ValueError, match="nothing to monitor"):
        TrainingMonitor()
    monitor = TrainingMonitor(FakeTrainer())
    monitor.stop()  # nothing runs, nothing happens
    assert monitor.data["status"] == "ready"
    with pytest.raises(RuntimeError, match="no training was started"):
        monitor.wait()
    shown = TrainingMonitor.from_log(checkpoints.FOLDER / "tiny-coconut", "tiny-coconut")
    with pytest.raises(RuntimeError, match="shows a log"):
        shown.train()
    for bad in (-1, shown.plan["total"] + 1):
        with pytest.raises(TraitError, match="give 0 to"):
            shown.upto = bad


# --- a real trainer, of a tiny model ------------------------------------------------------------


def test_a_real_trainer(tmp_path, capsys) -> None:
    trainer = small_trainer(tmp_path, 3)
    monitor = TrainingMonitor(trainer)
    model = monitor.train()
    assert model is trainer.model
    logged = read_log(trainer.folder / "log.jsonl")
    assert monitor.data == monitor_data(monitor.plan, logged, "done", waits=True)
    assert {step for step, _ in scores(monitor)} == {3, 6, 9, 12}
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("usual_interrupts")
@pytest.mark.parametrize("by", ["an interrupt", "the button"])
def test_a_real_trainer_is_stopped_and_goes_on(tmp_path, by) -> None:
    interrupted = by == "an interrupt"
    trainer = small_trainer(tmp_path, 3, holds_at=4 if interrupted else -1)
    monitor = TrainingMonitor(trainer)
    really = monitor.update

    def update(entry):
        really(entry)
        if entry["step"] == 4 and interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        elif entry["step"] == 4:
            monitor.asked_to_stop = True

    monitor.update = update
    if not interrupted:
        monitor.start()
    with pytest.raises(KeyboardInterrupt):
        monitor.train() if interrupted else monitor.wait()
    assert (trainer.step, monitor.data["done"], monitor.data["status"]) == (5, 5, "stopped")
    assert list(trainer.folder.glob("step-*")), "a checkpoint was written"
    monitor.update = really
    monitor.train()
    assert steps_of(monitor) == list(range(1, 13)) and monitor.data["status"] == "done"
