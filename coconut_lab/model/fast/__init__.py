"""The same numbers in less time or memory, up to rounding; `model/passes.py` alone uses it.

`cache.py` writes keys and values in place instead of copying them at every pass; `last_layer.py`
leaves the last layer out where nobody reads it; `llama_on_cpu.py` runs a Llama with less traffic
through memory; `activation_checkpointing.py` computes a question's layers again in the backward
pass instead of keeping them. `Coconut(…, fast=False)` does without all of it.
"""
