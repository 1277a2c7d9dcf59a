"""What the user says of a control, and the protocols between user, host and engine."""
