"""Shipped models: a folder each, with weights, a card that says what they are, and hashes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.errors import ShortError, checks_kinds
from coconut_lab.files import new_folder, sha256
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError

FOLDER = Path(__file__).parent
CARD_FILE = "card.json"


class CheckpointError(ShortError, ValueError):
    """A checkpoint that is missing, incomplete or altered; the message says which file."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model with all that is needed to use it.

    Attributes:
        model: the model, in evaluation mode, on the CPU.
        tokenizer: its tokenizer.
        curriculum: what it was trained with; makes its prompts.
        card: plain data: `name`, `preset`, `recipe`, `rebuild` (the command), `accuracy` (a list
            with `thoughts`, `right`, `total`, `accuracy`, `low`, `high` each), `sha256`, and more.
    """

    model: Coconut
    tokenizer: Any
    curriculum: Curriculum
    card: dict[str, Any]


def names() -> list[str]:
    """List the shipped models."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CARD_FILE}"))


@checks_kinds(CheckpointError)
def load(name: str | os.PathLike[str]) -> Checkpoint:
    """Load a shipped model, or a folder that `save` wrote.

    Args:
        name: one of `names()`, such as `"tiny-coconut"`, or the path of a folder: a `Path`, or a
            text with a separator, such as `"./mine"`. Of a folder, only the files that its card
            lists are read.

    Returns:
        The model with tokenizer, curriculum and card.

    Raises:
        CheckpointError: there is no such model, or a file is missing or differs from the hash on
            its card; nothing is loaded then.
    """
    is_name = isinstance(name, str) and not {os.sep, "/"} & set(name)
    folder = FOLDER / name if is_name else Path(name)
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        hashes, settings = card["sha256"], card["curriculum"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no checkpoint {str(name)!r}; shipped are {', '.join(names())}; "
            f"the path of a folder with a {CARD_FILE}, such as './{name}', works too"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / CARD_FILE} cannot be read: {error}") from error
    for file, expected in hashes.items():
        try:
            found = sha256(folder / file)
        except OSError as error:
            raise CheckpointError(f"{folder}: {file} is missing or cannot be read") from error
        if found != expected:
            raise CheckpointError(
                f"{folder / file} is not the file its card describes (SHA-256 {found[:12]}…, "
                f"expected {expected[:12]}…); get it again, or rebuild it: {card.get('rebuild')}"
            )
    with tempfile.TemporaryDirectory() as listed:  # the library reads what else there is
        for file in hashes:
            _link(folder / file, Path(listed) / Path(file).name)
        try:
            model = Coconut.from_pretrained(listed)
        except ModelError as error:
            raise CheckpointError(str(error).replace(listed, str(folder))) from error
    return Checkpoint(model, model.tokenizer, Curriculum(**settings), card)


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file.resolve())
    except OSError:  # a system without links
        shutil.copyfile(file, link)


def save(
    folder: str | os.PathLike[str],
    model: Coconut,
    curriculum: Curriculum,
    card: dict[str, Any],
    extra: dict[str, str] | None = None,
) -> None:
    """Write a checkpoint with its card, all or nothing."""
    with new_folder(folder) as temporary:
        model.write_files(temporary)
        for name, text in (extra or {}).items():
            (temporary / name).write_text(text, encoding="utf-8")
        whole = card | {
            "curriculum": dataclasses.asdict(curriculum),
            "sha256": {path.name: sha256(path) for path in sorted(temporary.iterdir())},
        }
        (temporary / CARD_FILE).write_text(
            json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
