"""The folder of a training run, whole at every moment: log, checkpoints, and how Ctrl-C ends it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from coconut_lab.errors import ShortError
from coconut_lab.files import new_folder, sha256, write_text
from coconut_lab.model.coconut import Coconut
from coconut_lab.training.recipe import Recipe, RecipeError

try:
    import fcntl
except ImportError:  # on Windows, where nothing keeps a second process out
    fcntl = None  # type: ignore[assignment]

LOG_FILE, RUN_FILE, LOCK_FILE = "log.jsonl", "run.json", "run.lock"
STATE_FILE, OPTIMIZER_FILE = "training.json", "optimizer.safetensors"
#: In place of the model's own files if it has low-rank adapters, which those cannot hold.
ADAPTED_FILE = "adapted.safetensors"
OTHERWISE = "choose another folder, or remove this one"


class TrainingError(ShortError, RuntimeError):
    """Training that cannot go on; the message says at which step and what is left."""


class RunFolder:
    """Log and checkpoints of one run, which alone goes on with them."""

    def __init__(self, path: str | os.PathLike[str], tensorboard: bool = False) -> None:
        self.path = Path(path)
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise TrainingError(
                    "TensorBoard is not installed; pip install tensorboard, or train without it"
                ) from error
            self._board = SummaryWriter(str(path))

    @contextmanager
    def claimed(self, run: dict[str, Any]) -> Iterator[None]:
        """Hold the folder for a run; `run` says which, and is kept as run.json.

        A TrainingError if another process holds it, it belongs to another run, or it cannot be
        written to.
        """
        with self.writing("to"):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / LOCK_FILE).open("ab+", buffering=0)
        with lock:
            try:  # the system lets go of the lock of a process that has died
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise TrainingError(
                    f"{self.path} is in use by another run (process {lock.read().decode()}); wait "
                    "for its end, stop it, or choose another folder"
                ) from None
            except OSError:
                pass  # a file system without locks
            with self.writing("to"):
                lock.truncate(0)
                lock.write(str(os.getpid()).encode())
                self._belongs_to(run)
                for left in self.path.glob(".*"):  # of a process that was killed
                    if re.match(r"\.(step-\d+|model|log\.jsonl|run\.json)\.", left.name):
                        shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield

    def _belongs_to(self, run: dict[str, Any]) -> None:
        """Make the folder that of a run, or raise a TrainingError if it is that of another."""
        path, log = self.path / RUN_FILE, self.path / LOG_FILE
        run = json.loads(json.dumps(run))
        if not path.exists():
            if self.checkpoints() or (log.exists() and log.stat().st_size):
                raise TrainingError(f"{self.path} holds a run but no {RUN_FILE}; {OTHERWISE}")
            write_text(path, json.dumps(run, indent=1) + "\n")
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise TrainingError(f"{path} cannot be read ({error}); {OTHERWISE}") from None
        with suppress(RecipeError, LookupError, TypeError):  # fills in keys that are newer than it
            there["recipe"] = Recipe.from_dict(there["recipe"]).to_dict()
        for where, old, new in _differences(json.loads(json.dumps(there)), run):
            raise TrainingError(
                f"{self.path} holds another run ({where}: {old!r:.60} there, {new!r:.60} here); "
                f"{OTHERWISE}"
            )

    @contextmanager
    def writing(self, what: str, where: Path | None = None) -> Iterator[None]:
        """Turn what goes wrong while writing something into a TrainingError of one line."""
        try:
            yield
        except TrainingError:
            raise
        except Exception as error:  # safetensors and tokenizers have kinds of their own
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:300]
            raise TrainingError(
                f"cannot write {what} {where or self.path} ({reason}); {self.left()} Make room or "
                "choose another folder; a run that is started again goes on"
            ) from error

    def checkpoints(self) -> list[Path]:
        """List the checkpoints, oldest first."""
        found = [p for p in self.path.glob("step-*") if re.fullmatch(r"step-\d{6,}", p.name)]
        return sorted(found, key=lambda path: int(path.name[5:]))

    def left(self) -> str:
        """Say which checkpoint is there, for error messages."""
        saved = self.checkpoints()
        return f"the last good checkpoint is {saved[-1]}." if saved else "there is no checkpoint."

    def log(self, entry: dict[str, Any]) -> None:
        """Append one line to the log, and write it for TensorBoard if that is asked for."""
        with self.writing("the log to"), (self.path / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._board is None:
            return
        scores = {f"accuracy/{key}": value for key, value in entry.get("accuracy", {}).items()}
        for name in ("loss", "lr", "gradient_norm", "stage"):
            scores[name] = entry[name]
        for name, value in scores.items():
            self._board.add_scalar(name, value, entry["step"])
        self._board.flush()

    def rewind(self, step: int) -> None:
        """Go back to where `step` is done next: set aside checkpoints and log entries after it."""
        for folder in self.checkpoints():
            if int(folder.name[5:]) > step:  # damaged, or it would have been taken
                aside = self.path / f"damaged-{folder.name}"
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
        path = self.path / LOG_FILE
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        kept = []
        for line in text.splitlines(keepends=True):
            try:
                if json.loads(line)["step"] < step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                break  # a line cut short by a kill; nothing after it is older
        with self.writing("the log to"):
            if text and not kept:  # as if it had never run; but its log may be all that is left
                with (self.path / f"old-{LOG_FILE}").open("a", encoding="utf-8") as file:
                    file.write(text)
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
        folder = self.path / f"step-{step:06d}"
        with self.writing(f"the checkpoint of step {step} to"), new_folder(folder) as temporary:
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
            files = {path.name: sha256(path) for path in temporary.iterdir() if path.is_file()}
            facts = {"step": step, "since_reset": since_reset, "files": files}
            write_text(temporary / STATE_FILE, json.dumps(facts | {"hash": _hash(facts)}) + "\n")
        for old in self.checkpoints()[:-2]:
            shutil.rmtree(old, ignore_errors=True)

    def newest(self) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        """Read `step` and `since_reset`, weights and optimizer's state of the newest checkpoint.

        One that is damaged is passed over with a warning; a TrainingError if no other is left. All
        are empty if there is none.
        """
        for folder in reversed(self.checkpoints()):
            try:
                facts = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
                if facts.pop("hash") != _hash(facts):
                    raise ValueError(f"{STATE_FILE} is not as it was written")
                for name, was in facts["files"].items():
                    if sha256(folder / name) != was:
                        raise ValueError(f"{name} is not as it was written")
            except Exception as error:  # whatever a damaged file leads to
                warnings.warn(f"the checkpoint {folder} is damaged ({error})", stacklevel=2)
                continue
            state: dict[str, dict[str, Tensor]] = {}
            for key, value in load_file(folder / OPTIMIZER_FILE).items():
                weight, _, name = key.rpartition(".")
                state.setdefault(weight, {})[name] = value
            if (folder / ADAPTED_FILE).exists():
                return facts, load_file(folder / ADAPTED_FILE), state
            return facts, Coconut.from_pretrained(folder).state_dict(), state
        if self.checkpoints():
            raise TrainingError(f"no checkpoint in {self.path} is whole; {OTHERWISE}")
        return {}, {}, {}


def _hash(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _differences(there: Any, here: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Give each place at which two pieces of plain data differ, and what is there."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**here, **there}:
            place = f"{where}.{key}" if where else key
            yield from _differences(there.get(key), here.get(key), place)
    elif there != here:
        yield where, there, here


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
