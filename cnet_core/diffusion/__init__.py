"""Noise schedule and samplers, for training and the embedded model alike."""
