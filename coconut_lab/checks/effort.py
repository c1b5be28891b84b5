"""How much a model had to do: the columns of every pass, and whether fewer would have done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from coconut_lab.checks.base import CheckFailed


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """Note the number of columns of every pass through the backbone."""
    passes: list[int] = []

    def note(module: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        named = [options.get(key) for key in ("inputs_embeds", "input_ids")]
        given = next(value for value in (*named, *arguments) if value is not None)
        passes.append(given.shape[1])

    hook = model.base_model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield passes
    finally:
        hook.remove()


def check_effort(name: str, passes: list[int], columns: int, thoughts: int, hint: str) -> None:
    """Make sure that no column goes in twice, and that n thoughts take n + 1 passes.

    Args:
        name: how the exercise calls the function.
        passes: the columns of every pass, from `counted`.
        columns: how many are enough.
        thoughts: how many there are.
        hint: how a pass too many is saved.

    Raises:
        CheckFailed: too many columns, or too many passes.
    """
    listed = " + ".join(map(str, passes))
    if sum(passes) > columns:
        raise CheckFailed(
            f"{name}: the values are right, but {sum(passes)} columns went through the model where "
            f"{columns} are enough ({listed}). Send only columns that are not in the cache yet."
        )
    if len(passes) > thoughts + 1:
        raise CheckFailed(
            f"{name}: the values are right, but {thoughts} thoughts took {len(passes)} passes "
            f"({listed} columns); {thoughts + 1} are enough. {hint}"
        )
