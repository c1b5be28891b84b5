"""The explorer of halting rules."""
