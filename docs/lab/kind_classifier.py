"""A small classifier that says which thing a picture shows; it measures, and does not ship."""

from pathlib import Path

from torch import nn

from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.tiny.things import KINDS


class KindClassifier(nn.Sequential):
    """Pictures (B, 3, H, W), 0..1 -> logits (B, kinds)."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        width = 12
        for out, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (192, 2), (192, 1)):
            layers += [
                nn.Conv2d(width, out, 3, stride, 1, bias=False),
                nn.GroupNorm(8, out),
                nn.ReLU(),
            ]
            width = out
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, len(KINDS))
        )

    @classmethod
    def load(cls, path: Path) -> "KindClassifier":
        """Returns a trained classifier, fixed."""
        classifier = cls()
        classifier.load_state_dict(read_tensors(path)[0])
        return classifier.float().train(False).requires_grad_(False)
