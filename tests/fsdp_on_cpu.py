"""Runs `coconut_lab.training` under FSDP on CPUs: a script for `accelerate launch`.

`accelerate` uses FSDP only for processes with a GPU each. Here processes on CPUs, which talk over
gloo, pass for such; everything after that is FSDP itself. STOP_AFTER stops a run after a step.
"""

import os

from accelerate.state import PartialState
from accelerate.utils import DistributedType

from coconut_lab.training.__main__ import main
from coconut_lab.training.distributed import end_process, is_sharded
from coconut_lab.training.trainer import Trainer

usual = Trainer.train


def train(self, on_step=None):
    def stop(entry):
        if entry["step"] == int(os.environ.get("STOP_AFTER", -1)):
            self.stop()

    model = usual(self, stop)
    assert is_sharded(model), "FSDP was not used"
    return model


if __name__ == "__main__":
    state = PartialState(cpu=True)
    assert state.device.type == "cpu" and state.num_processes > 1
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    Trainer.train = train
    end_process(main)
