"""A run that nothing stopped, to compare with."""

import pytest
from small_runs import SMALL, log, trainer, weights

from coconut_lab.training.recipe import load_recipe


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Weights and log of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "trial.yaml").write_text(SMALL)
    model = trainer(load_recipe(folder / "trial.yaml"), folder).train()
    return weights(model), log(folder)
