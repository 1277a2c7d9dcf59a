"""Errors about a base model; a host that calls the argument otherwise words them with its own name."""

from pathlib import Path


class BaseError(ValueError):
    """A base model that is missing or does not fit."""

    def sentence(self, argument: str) -> str:
        """Returns the message, with `argument` as the name under which the base model is given."""
        raise NotImplementedError


class MissingBase(BaseError):
    """A file that holds differences was loaded without its base model."""

    def __init__(self, path: Path, format: str) -> None:
        self.path, self.format = path, format
        super().__init__(self.sentence("base"))

    def sentence(self, argument: str) -> str:
        """As BaseError.sentence."""
        return (
            f"{self.path} is a {self.format} file: it holds differences to a base model. "
            f"Give that model as `{argument}`."
        )


class OtherFamily(BaseError):
    """The base model's layers have other shapes than the file's; `difference` says where."""

    def __init__(self, path: str, difference: str, argument: str = "base") -> None:
        self.path, self.difference = path, difference
        super().__init__(self.sentence(argument))

    def sentence(self, argument: str) -> str:
        """As BaseError.sentence."""
        return (
            f"{self.path} was made for a base model of another family than `{argument}`: {self.difference}. "
            "Give one of its own family (SD1.x, SD2.x or SDXL)."
        )


class NoUNet(BaseError):
    """What was given as base model holds no UNet; `given` says what it is, `advice` what to give."""

    def __init__(self, given: str, advice: str) -> None:
        self.given, self.advice = given, advice
        super().__init__(self.sentence("base"))

    def sentence(self, argument: str) -> str:
        """As BaseError.sentence."""
        return f"`{argument}` {self.given}; {self.advice}."
