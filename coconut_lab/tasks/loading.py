"""Loading problems of any task from a file, the hub or the cache."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from coconut_lab.errors import checks_kinds
from coconut_lab.files import write_text
from coconut_lab.tasks import gsm8k, json_files, prontoqa
from coconut_lab.tasks.notation import placed
from coconut_lab.tasks.problems import Problem, ProblemError

#: Where files of data sets are kept that the library `datasets` does not serve.
CACHE = "COCONUT_LAB_CACHE"
SPLITS = ("train", "validation", "test")
PROSQA_ADDRESS = (
    "https://raw.githubusercontent.com/facebookresearch/coconut/main/data/prosqa_{part}.json"
)
#: What the library `datasets` serves: the repository, and each split with its name there.
HUB = {
    "gsm8k-aug": ("whynlp/gsm8k-aug", {split: split for split in SPLITS}),
    "gsm8k-aug-nl": ("whynlp/gsm8k-aug-nl", {split: split for split in SPLITS}),
    "multiarith": ("ChilleD/MultiArith", {"train": "train", "test": "test"}),
    "svamp": ("ChilleD/SVAMP", {"train": "train", "test": "test"}),
    "gsm-hard": ("reasoning-machines/gsm-hard", {"test": "train"}),
}

_TIMEOUT = 30  # seconds
_FORMATS = (
    "a file is Coconut's JSON (a list of question, steps, answer), the JSON dict that ProntoQA's "
    f"generator writes, or iCoT's text ({gsm8k.FORMAT})"
)
# What the hub has to do with each data set.
_REACH = {
    "prosqa": f"with network, load_problems('prosqa') fetches {PROSQA_ADDRESS}",
    "prontoqa": (
        "nothing there, but you can make a file with the generator of "
        "github.com/asaparov/prontoqa (run_experiment.py --model-name json --model-size dummy "
        "--ordering random --num-trials 10000 --few-shot-examples 0 --ontology fictional "
        "--min-hops 5 --max-hops 5 --hops-skip 1), or use generate_prontoqa"
    ),
    **{name: f"with network, load_problems({name!r}) fetches {HUB[name][0]}" for name in HUB},
}


@checks_kinds(ProblemError)
def load_problems(
    source: str | os.PathLike[str], split: str = "validation", limit: int | None = None
) -> list[Problem]:
    """Load problems of any task.

    There are three ways: a path; a name, which is fetched once; a name that is in the cache
    already, without network. A file's format is told by its content.

    Args:
        source: path of a file in Coconut's JSON, ProntoQA's raw JSON or iCoT's text format, JSON
            also one row a line; or "prosqa", "prontoqa", "gsm8k-aug"; or for evaluation only,
            without steps or with steps in words, "gsm8k-aug-nl", "multiarith", "svamp",
            "gsm-hard".
        split: "train", "validation" or "test" of a data set known by name. A file is one part, so
            it is not used then.
        limit: at most this many problems, from the start; all of them by default.

    Returns:
        The problems, in the order of the source. Their steps are as the source has them;
        `verify_steps` says whether they hold.

    Raises:
        ProblemError: the source is not known, not readable or not reachable, a row is malformed
            (with its number), or `limit` is below 0.
    """
    if limit is not None and limit < 0:
        raise ProblemError(f"limit={limit}; give a number from 0 on, or None for all")
    path = Path(source)
    if os.path.isfile(path):
        return load_file(path, limit)
    names = {repository: name for name, (repository, _) in HUB.items()}
    name = names.get(str(source), str(source))
    if name not in _REACH:
        raise ProblemError(
            f"{name!r} is neither a file nor a known data set; {_FORMATS}; known by name are "
            f"{', '.join(_REACH)}"
        )
    splits = HUB[name][1] if name in HUB else SPLITS
    if split not in splits:
        raise ProblemError(f"split={split!r}; there are {', '.join(splits)}")
    kept = cache_file(name, split)
    if kept.is_file():
        return load_file(kept, limit)
    try:
        if name in HUB:
            return _fetch_from_hub(name, split, limit)
        if name == "prosqa":
            return _fetch_prosqa(split, limit)
        raise OSError("nobody publishes Coconut's ProntoQA files")
    except OSError as error:
        reach = _REACH[name].format(part=_part(split))
        raise ProblemError(
            f"{name} cannot be fetched ({error}); three ways lead to the {split} split of {name}: "
            f"(1) a path, load_problems('my_file'), where {_FORMATS}; (2) the hub: {reach}; "
            f"(3) the cache: once fetched it stays there, and {kept} is read if you put it there"
        ) from error


def cache_file(name: str, split: str) -> Path:
    """Say where a split is looked for first, in any format: `<folder>/<name>_<split>.json`.

    The folder is `~/.cache/coconut-lab`, or what the environment variable COCONUT_LAB_CACHE says.
    """
    folder = os.environ.get(CACHE) or Path.home() / ".cache" / "coconut-lab"
    return Path(folder) / f"{name}_{split}.json"


def load_file(path: Path, limit: int | None = None) -> list[Problem]:
    """Load a file in any format; a ProblemError names the file and the place in it."""
    with placed(path):
        return _problems_of(_rows(_read_text(path)), limit)


def _problems_of(rows: Iterable[tuple[object, Any]], limit: int | None) -> list[Problem]:
    problems = []
    for place, row in islice(rows, limit):
        with placed(f"row {place}"):
            if isinstance(row, str):
                problems.append(gsm8k.problem_of(row))
            elif isinstance(row, dict) and "test_example" in row:
                problems.append(prontoqa.problem_of(row))
            else:
                problems.append(json_files.problem_of(row))
    return problems


def _rows(text: str) -> Iterable[tuple[str, Any]]:
    """Rows with their places, in the format that the content shows."""
    first = text.lstrip()[:1]
    if not first:
        raise ProblemError(f"the file is empty; {_FORMATS}")
    if first in "[{":
        return json_files.json_rows(text)
    if text.startswith("version https://git-lfs"):
        raise ProblemError("a pointer of Git LFS, not the file itself; get that by `git lfs pull`")
    if "||" not in text:
        raise ProblemError(
            f"the format cannot be told: no [ or {{ at the start and no || in it; {_FORMATS}"
        )
    lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    return ((f"{row} (line {number})", line) for row, (number, line) in enumerate(lines))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ProblemError(f"cannot be read: {error.strerror}") from error
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw:
        raise ProblemError("not UTF-8 text, but UTF-16 or binary; convert it to UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise ProblemError(
            f"line {line}, column {column}: byte 0x{raw[error.start]:02x} is not UTF-8; convert "
            "the file to UTF-8, all of it from the same encoding"
        ) from None


def _fetch_from_hub(name: str, split: str, limit: int | None) -> list[Problem]:
    import datasets  # slow to import, and only needed here

    repository, splits = HUB[name]
    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(repository, split=splits[split])
    except Exception as error:  # the libraries raise many kinds
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        datasets.enable_progress_bars()
    with placed(repository):
        return _problems_of(enumerate(rows), limit)


def _part(split: str) -> str:
    return "valid" if split == "validation" else split


def _fetch_prosqa(split: str, limit: int | None) -> list[Problem]:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").upper() in ("1", "TRUE", "YES", "ON"):
            raise OSError("the environment says HF_HUB_OFFLINE or HF_DATASETS_OFFLINE")
    address = PROSQA_ADDRESS.format(part=_part(split))
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
            text = answer.read().decode("utf-8")
        json.loads(text)
    except ValueError as error:
        raise OSError(f"{address}: {error}") from error
    kept = cache_file("prosqa", split)
    kept.parent.mkdir(parents=True, exist_ok=True)
    return load_file(write_text(kept, text), limit)
