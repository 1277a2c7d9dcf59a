"""What a failure says on the command line."""


def sentence(error: Exception) -> str:
    """Returns an error as one sentence on one line."""
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}."
    return " ".join(str(error).split())
