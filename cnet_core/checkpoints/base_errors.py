"""Errors about a base model; a host can word them with the name of its own argument."""

from dataclasses import dataclass
from pathlib import Path


class BaseError(ValueError):
    """A base model that is missing or does not fit."""

    argument: str = "base"

    def sentence(self, argument: str) -> str:
        """Returns the message, with `argument` as the name under which the base model is given."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.sentence(self.argument)


@dataclass(eq=False)
class MissingBase(BaseError):
    """A file that holds differences was loaded without its base model."""

    path: Path
    format: str

    def sentence(self, argument: str) -> str:
        """As BaseError.sentence."""
        return (
            f"{self.path} has the format {self.format}: it holds differences from a base model. Give that model as "
            f"`{argument}`."
        )


@dataclass(eq=False)
class OtherFamily(BaseError):
    """The base model's layers have other shapes than the file's; `difference` says where."""

    path: str
    difference: str
    argument: str = "base"

    def sentence(self, argument: str) -> str:
        """As BaseError.sentence."""
        return (
            f"{self.path} was made for a base model of another family than `{argument}`: {self.difference}. "
            "Give a base of the file's own family (SD1.x, SD2.x or SDXL)."
        )


@dataclass(eq=False)
class NoUNet(BaseError):
    """The given base model holds no UNet; `given` says what it is, `advice` what to give."""

    given: str
    advice: str

    def sentence(self, argument: str) -> str:
        """As BaseError.sentence."""
        return f"`{argument}` {self.given}; {self.advice}."
