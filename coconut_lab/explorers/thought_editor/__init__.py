"""The editor of thoughts: change a thought, and see who wins."""
