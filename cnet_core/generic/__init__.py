"""ControlNet's block for any module."""
