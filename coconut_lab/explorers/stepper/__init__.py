"""The explorer that steps through thoughts."""
