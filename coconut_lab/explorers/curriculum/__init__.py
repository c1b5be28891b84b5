"""The explorer of stages and masks."""
