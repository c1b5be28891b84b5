"""What every test shares: nothing from the network, the same random numbers, few threads."""

import os
import signal
from collections.abc import Iterator

# Before transformers and datasets are imported, here and in the kernels that tests start.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import pytest
import torch
from hypothesis import settings

# The same examples in every run, and no limit on the time of one: machines differ.
settings.register_profile("course", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("course")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same random numbers."""
    torch.manual_seed(0)


@pytest.fixture
def usual_interrupts() -> Iterator[None]:
    """Python's own Ctrl-C, also where the tests run in the background and ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# What follows is imported only where it is asked for: most tests do not need it.


@pytest.fixture
def recipe(tmp_path):
    """The recipe of `small_runs`, read from a file."""
    from small_runs import SMALL

    from coconut_lab.training.recipe import load_recipe

    path = tmp_path / "trial.yaml"
    path.write_text(SMALL)
    return load_recipe(path)
