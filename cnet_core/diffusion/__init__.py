"""Noise schedule and samplers, for training and for the embedded model."""
