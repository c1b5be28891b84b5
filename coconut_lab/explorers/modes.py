"""The idea in one picture: what goes back into the model in language mode and in latent mode."""

from pathlib import Path

from coconut_lab.explorers.picture import Picture


def modes_picture() -> Picture:
    """Give the picture of both modes: chosen words are fed back above, hidden states below."""
    return Picture(Path(__file__).with_name("modes.svg").read_text(encoding="utf-8"))
