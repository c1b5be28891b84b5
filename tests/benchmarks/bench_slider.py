"""How long the kernel takes from a slider's new value to the stepper's new picture."""

from __future__ import annotations

import statistics
import time

from coconut_lab.explorers import ThoughtStepper

TURNS = 20


def main() -> None:
    """Print the median over slider moves that each change the picture."""
    stepper = ThoughtStepper("tiny-coconut")
    times = []
    for turn in range(TURNS):
        before = stepper.picture.value
        began = time.perf_counter()
        stepper.thought.value = 1 + turn % 2
        times.append(time.perf_counter() - began)
        assert turn == 0 or stepper.picture.value != before
    print(
        f"slider to new HTML in the kernel: {statistics.median(times) * 1e3:.2f} ms "
        f"(median of {TURNS}; at most 5 wanted)"
    )


if __name__ == "__main__":
    main()
