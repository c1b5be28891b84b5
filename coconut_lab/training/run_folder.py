"""The folder of a training run, whole at every moment: log, checkpoints, and how Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from coconut_lab.files import new_folder, write_text
from coconut_lab.model.coconut import Coconut

LOG_FILE, STATE_FILE, OPTIMIZER_FILE = "log.jsonl", "training.json", "optimizer.safetensors"
#: In place of the model's own files if it has low-rank adapters, which those cannot hold.
ADAPTED_FILE = "adapted.safetensors"


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says at which step and what is left."""


class RunFolder:
    """Log and checkpoints of one run; only the recipe of that fingerprint continues it."""

    def __init__(
        self, path: str | os.PathLike[str], fingerprint: str, tensorboard: bool = False
    ) -> None:
        self.path = Path(path)
        self.fingerprint = fingerprint
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise TrainingError(
                    "TensorBoard is not installed; pip install tensorboard, or train without it"
                ) from error
            self._board = SummaryWriter(str(path))

    def prepare(self) -> None:
        """Make the folder, or raise a TrainingError if it cannot be written to."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / LOG_FILE).open("a").close()
        except OSError as error:
            raise TrainingError(
                f"cannot write to {self.path} ({error.strerror}); choose another folder"
            ) from error

    def checkpoints(self) -> list[Path]:
        """List the checkpoints, oldest first."""
        found = [p for p in self.path.glob("step-*") if re.fullmatch(r"step-\d{6,}", p.name)]
        return sorted(found, key=lambda path: int(path.name[5:]))

    def left(self) -> str:
        """Say which checkpoint is there, for error messages."""
        saved = self.checkpoints()
        return f"the last good checkpoint is {saved[-1]}." if saved else "no checkpoint was due."

    def log(self, entry: dict[str, Any]) -> None:
        """Append one line to the log, and write it for TensorBoard if that is asked for."""
        with (self.path / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._board is None:
            return
        scores = {f"accuracy/{key}": value for key, value in entry.get("accuracy", {}).items()}
        for name in ("loss", "lr", "gradient_norm", "stage"):
            scores[name] = entry[name]
        for name, value in scores.items():
            self._board.add_scalar(name, value, entry["step"])
        self._board.flush()

    def trim_log(self, step: int) -> None:
        """Drop log entries of steps that will be done again: `step` and later."""
        path = self.path / LOG_FILE
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] < step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                break  # a line cut short by a kill; nothing after it is older
        write_text(path, "".join(kept))

    def save(
        self,
        step: int,
        since_reset: int,
        model: Coconut,
        weights: dict[str, Tensor],
        optimizer: dict[str, dict[str, Tensor]],
    ) -> None:
        """Write a checkpoint after that many steps, then drop all but the last two."""
        with new_folder(self.path / f"step-{step:06d}") as temporary:
            if model.has_adapters:
                save_file(_once(weights), temporary / ADAPTED_FILE)
            else:
                model.write_files(temporary, weights)
            tensors = {
                f"{weight}.{name}": value.contiguous()
                for weight, values in optimizer.items()
                for name, value in values.items()
            }
            save_file(tensors, temporary / OPTIMIZER_FILE)
            facts = {"recipe": self.fingerprint, "step": step, "since_reset": since_reset}
            write_text(temporary / STATE_FILE, json.dumps(facts) + "\n")
        for old in self.checkpoints()[:-2]:
            shutil.rmtree(old)

    def newest(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Read `step` and `since_reset`, weights and optimizer's state of the newest checkpoint.

        All are empty if there is none; a TrainingError if it is of another recipe.
        """
        saved = self.checkpoints()
        if not saved:
            return {}, {}, {}
        folder = saved[-1]
        facts = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        if facts["recipe"] != self.fingerprint:
            raise TrainingError(
                f"{self.path} holds a run of another recipe or seed; choose another folder, or "
                "remove this one"
            )
        state: dict[str, dict[str, Tensor]] = {}
        for key, value in load_file(folder / OPTIMIZER_FILE).items():
            weight, _, name = key.rpartition(".")
            state.setdefault(weight, {})[name] = value
        if (folder / ADAPTED_FILE).exists():
            return facts, load_file(folder / ADAPTED_FILE), state
        return facts, Coconut.from_pretrained(folder).state_dict(), state


def _once(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep one name of each piece of memory: a file has no place for tied weights."""
    found = {weight.data_ptr(): name for name, weight in reversed(weights.items())}
    return {name: weights[name].contiguous() for name in found.values()}


@contextmanager
def first_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C call `stop` only: no step is left half done. A second ends at once.

    Outside the main thread, where Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, usual)
        stop()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
