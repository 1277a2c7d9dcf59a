"""The user's settings of a control, and the protocols between user, host and engine."""
