"""Measurements: what control costs, and what reuse saves."""
