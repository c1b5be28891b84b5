"""Explorers that are drawn in the browser: their base, and the ES module and style they share."""
