"""The idea in one picture: what goes back into the model in language mode and in latent mode."""

from pathlib import Path


def modes_picture() -> str:
    """Give the picture of both modes: chosen words are fed back above, hidden states below.

    Returns:
        An `<svg>` element, as text.
    """
    return Path(__file__).with_name("modes.svg").read_text(encoding="utf-8")
