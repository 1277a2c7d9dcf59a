"""Settings that reproduce other tools' results, by name."""
