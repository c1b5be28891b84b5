"""Typical mistakes of learners, each with the words by which its check must name it.

`test_exercises.py` hands each `wrong` to its check and looks for `expect` in the message. Every
check that an exercise calls needs at least three mistakes with messages of their own.
"""

from __future__ import annotations

from importlib import import_module

from planted_mistakes.table import PLANTED, Planted

__all__ = ["PLANTED", "Planted"]

#: The modules that fill the table, in the order of the notebooks.
MODULES = (
    "curriculum",  # 03
    "schedule",
)

for name in MODULES:
    import_module(f"planted_mistakes.{name}")
