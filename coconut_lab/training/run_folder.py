"""The folder of a training run: its log and its checkpoints, whole at every moment."""

from __future__ import annotations

import json
import os
import re
import shutil
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
    """Log and checkpoints of one run.

    Args:
        path: the folder; made when something is written.
        fingerprint: of the recipe; a run is only continued by the recipe that began it.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str) -> None:
        self.path = Path(path)
        self.fingerprint = fingerprint

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            TrainingError: it cannot be written to.
        """
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
        """Append one line to the log."""
        with (self.path / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

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
        optimizer: dict[int, dict[str, Tensor]],
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        """Write a checkpoint under a new name, then drop all but the last two.

        Args:
            step: steps done so far.
            since_reset: steps since the optimizer's state was dropped.
            model: the model.
            optimizer: the optimizer's state per parameter.
            weights: the model's state, where it is spread over processes; None takes it as it is.
        """
        with new_folder(self.path / f"step-{step:06d}") as temporary:
            if model.has_adapters:
                save_file(_once(weights or model.state_dict()), temporary / ADAPTED_FILE)
            else:
                model.write_files(temporary, weights)
            tensors = {
                f"{index}.{name}": value.contiguous()
                for index, values in optimizer.items()
                for name, value in values.items()
            }
            save_file(tensors, temporary / OPTIMIZER_FILE)
            facts = {"recipe": self.fingerprint, "step": step, "since_reset": since_reset}
            write_text(temporary / STATE_FILE, json.dumps(facts) + "\n")
        for old in self.checkpoints()[:-2]:
            shutil.rmtree(old)

    def newest(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[int, dict[str, Tensor]]]:
        """Read the newest checkpoint.

        Returns:
            `step` and `since_reset`, the weights (of those that are tied, perhaps one only), and
            the optimizer's state per parameter; all empty if there is no checkpoint.

        Raises:
            TrainingError: the folder holds a run of another recipe.
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
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(folder / OPTIMIZER_FILE).items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        if (folder / ADAPTED_FILE).exists():
            return facts, load_file(folder / ADAPTED_FILE), state
        return facts, Coconut.from_pretrained(folder).state_dict(), state


def _once(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep one name of each piece of memory: a file has no place for tied weights."""
    found = {weight.data_ptr(): name for name, weight in reversed(weights.items())}
    return {name: weights[name].contiguous() for name in found.values()}
