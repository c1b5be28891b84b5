"""Loading problems of any task from a file, the hub or the cache."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

from coconut_lab.files import write_text
from coconut_lab.tasks.gsm8k import FORMAT, read_gsm8k
from coconut_lab.tasks.json_files import read_bytes, read_json, read_rows
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prontoqa import read_prontoqa

#: Where files of data sets are kept that the library `datasets` does not serve.
CACHE = "COCONUT_LAB_CACHE"
SPLITS = ("train", "validation", "test")
GSM8K_REPOSITORY = "whynlp/gsm8k-aug"
GSM8K_COLUMNS = ("question", "steps", "answer")
PROSQA_ADDRESS = (
    "https://raw.githubusercontent.com/facebookresearch/coconut/main/data/prosqa_{part}.json"
)
NAMES = ("prosqa", "prontoqa", "gsm8k-aug")

_SNIFFED = 1_000_000
_TIMEOUT = 30  # seconds
_FORMATS = (
    "a file is Coconut's JSON (a list of question, steps, answer), the JSON dict that ProntoQA's "
    f"generator writes, or iCoT's text ({FORMAT})"
)


def load_problems(
    source: str | os.PathLike[str], split: str = "validation", limit: int | None = None
) -> list[Problem]:
    """Load problems of any task.

    There are three ways: a path; a name, which is fetched once; a name that is in the cache
    already, without network. A file's format is told by its content.

    Args:
        source: path of a file in Coconut's JSON, ProntoQA's raw JSON or iCoT's text format; or
            "prosqa", "prontoqa" or "gsm8k-aug".
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
    if path.is_file():
        return _load_file(path, limit)
    name = str(source)
    if name == GSM8K_REPOSITORY:
        name = "gsm8k-aug"
    if name not in NAMES:
        raise ProblemError(
            f"{name!r} is neither a file nor a known data set; {_FORMATS}; known by name are "
            f"{', '.join(NAMES)}"
        )
    if split not in SPLITS:
        raise ProblemError(f"split={split!r}; there are {', '.join(SPLITS)}")
    kept = cache_file(name, split)
    if kept.is_file():
        return _load_file(kept, limit)
    return _FETCH[name](split, limit)


def cache_file(name: str, split: str) -> Path:
    """Say where a split is looked for first, in any format: `<folder>/<name>_<split>.json`.

    The folder is `~/.cache/coconut-lab`, or what the environment variable COCONUT_LAB_CACHE says.
    """
    folder = os.environ.get(CACHE) or Path.home() / ".cache" / "coconut-lab"
    return Path(folder) / f"{name}_{split}.json"


def _load_file(path: Path, limit: int | None) -> list[Problem]:
    start = read_bytes(path, _SNIFFED)
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"[":
        return read_json(path)[:limit]
    if first == b"{":
        return read_prontoqa(path)[:limit]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
        raise ProblemError(
            f"{path}: not UTF-8 text (UTF-16 or binary, by its first bytes); convert it to UTF-8"
        )
    if path.suffix.lower() == ".json" and b"||" not in start:
        return read_json(path)[:limit]  # says at which line and column it is no JSON
    if first and b"||" not in start:
        raise ProblemError(
            f"{path}: row 0: the format cannot be told: no [ or {{ at the start and no || in the "
            f"first {len(start):,} bytes; {_FORMATS}"
        )
    if not first:
        raise ProblemError(f"{path}: the file is empty; {_FORMATS}")
    return read_gsm8k(path, limit)


def _ways(name: str, split: str, reach: str) -> str:
    return (
        f"three ways lead to the {split} split of {name}: (1) a path, load_problems('my_file'), "
        f"where {_FORMATS}; (2) the hub: {reach}; (3) the cache: once fetched it stays there, and "
        f"{cache_file(name, split)} is read if you put it there"
    )


def _offline() -> bool:
    return any(
        os.environ.get(name, "").upper() in ("1", "TRUE", "YES", "ON")
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )


def _fetch_gsm8k(split: str, limit: int | None) -> list[Problem]:
    import datasets  # slow to import, and only needed here

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(GSM8K_REPOSITORY, split=split)
    except Exception as error:  # the libraries raise many kinds
        reach = f"with network, load_problems('gsm8k-aug') fetches {GSM8K_REPOSITORY}"
        raise ProblemError(
            f"gsm8k-aug cannot be loaded ({type(error).__name__}: {error}); "
            + _ways("gsm8k-aug", split, reach)
        ) from error
    finally:
        datasets.enable_progress_bars()
    missing = [column for column in GSM8K_COLUMNS if column not in rows.column_names]
    if missing:
        raise ProblemError(
            f"{GSM8K_REPOSITORY}: column {missing[0]!r} is missing; there are "
            f"{', '.join(rows.column_names)}. Rename them, or save the data as Coconut's JSON"
        )
    if limit is not None:
        rows = rows.select(range(min(limit, len(rows))))
    return read_rows(GSM8K_REPOSITORY, enumerate(rows))


def _fetch_prosqa(split: str, limit: int | None) -> list[Problem]:
    address = PROSQA_ADDRESS.format(part="valid" if split == "validation" else split)
    try:
        if _offline():
            raise OSError("the environment says HF_HUB_OFFLINE or HF_DATASETS_OFFLINE")
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
            text = answer.read().decode("utf-8")
        json.loads(text)
    except (OSError, ValueError) as error:
        reach = f"with network, load_problems('prosqa') fetches {address}"
        raise ProblemError(
            f"prosqa cannot be fetched ({error}); " + _ways("prosqa", split, reach)
        ) from error
    kept = cache_file("prosqa", split)
    kept.parent.mkdir(parents=True, exist_ok=True)
    return read_json(write_text(kept, text))[:limit]


def _fetch_prontoqa(split: str, limit: int | None) -> list[Problem]:
    reach = (
        "nobody publishes Coconut's ProntoQA files there; make one with the generator of "
        "github.com/asaparov/prontoqa (run_experiment.py --model-name json --model-size dummy "
        "--ordering random --num-trials 10000 --few-shot-examples 0 --ontology fictional "
        "--min-hops 5 --max-hops 5 --hops-skip 1), or use generate_prontoqa"
    )
    raise ProblemError("prontoqa cannot be fetched; " + _ways("prontoqa", split, reach))


_FETCH: dict[str, Callable[[str, int | None], list[Problem]]] = {
    "prosqa": _fetch_prosqa,
    "prontoqa": _fetch_prontoqa,
    "gsm8k-aug": _fetch_gsm8k,
}
