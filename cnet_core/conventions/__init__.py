"""Other tools' results under their names."""
