"""The same numbers in less time or memory; only `model/passes.py` uses it."""
