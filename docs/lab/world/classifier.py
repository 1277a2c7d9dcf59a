"""Stage 2: trains the classifier that says which thing a picture shows."""

import torch
import torch.nn.functional as F
from fitting import Plan, WorldRun, fit
from kind_classifier import KindClassifier
from torch import Tensor, nn

from cnet_core.tiny.autoencoder import Autoencoder
from cnet_core.tiny.scenes import draw, random_scene

SIDE, BATCH = 128, 128


def train(
    run: WorldRun, plan: Plan, encoder: Autoencoder, start: nn.Module | None = None
) -> KindClassifier:
    """Returns the classifier, trained on true pictures and on what the autoencoder makes of them."""
    torch.manual_seed(6)
    module = KindClassifier().to(run.device)
    if start is not None:
        module.load_state_dict(start.state_dict())
    generator = run.generator(61)

    def loss_of(step: int) -> Tensor:
        with torch.no_grad():
            scene = random_scene(BATCH if run.device.type == "cuda" else 32, generator)
            pictures, _ = draw(scene, SIDE)
            half = len(pictures) // 2
            latents = encoder.encode(pictures[:half])
            noise = torch.randn(latents.shape, generator=generator, device=run.device)
            seen = torch.cat([encoder.decode(latents + 0.15 * noise), pictures[half:]])
            gain = 0.9 + 0.2 * torch.rand(
                len(seen), 3, 1, 1, generator=generator, device=run.device
            )
            seen = (seen * gain).clamp(0, 1)
        with run.autocast():
            logits = module(run.cast(seen))
        return F.cross_entropy(logits.float(), scene.kind, label_smoothing=0.05)

    return fit("classifier", module, loss_of, plan, run, generator)
