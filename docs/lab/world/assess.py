"""Stage 5: the figures of what was trained, and sheets to look at."""

from functools import partial

from assessment import PARTS, WITHOUT_CONTROL, WITHOUT_UNET, Assessment, Figures
from base import TextToNoise
from evaluate import write_sheet
from fitting import WorldRun
from kind_classifier import KindClassifier

from cnet_core.nets.controlnet import ControlNet
from cnet_core.tiny.autoencoder import Autoencoder
from cnet_core.tiny.model import TinyStableDiffusion


def assess(
    run: WorldRun,
    autoencoder: Autoencoder,
    classifier: KindClassifier | None,
    base: TextToNoise | None,
    control_net: ControlNet | None,
    count: int,
) -> tuple[dict[str, Figures], list[str]]:
    """Returns every figure that the parts at hand allow, and which parts of the assessment failed.

    Args:
        run: gets the log and the sheets.
        autoencoder, classifier, base, control_net: what was trained, None for what is missing.
        count: scenes with hints. True pictures and words use four times as many, pictures of 192 px half.
    """
    parts = WITHOUT_UNET if base is None else WITHOUT_CONTROL if control_net is None else PARTS
    base = base or TextToNoise().to(run.device)
    net = control_net or ControlNet(base.unet.config)
    model = TinyStableDiffusion(autoencoder, base.unet, base.text, net)
    assessment = Assessment(model, classifier, count, partial(write_sheet, run.folder))
    report: dict[str, Figures] = {}
    failed: list[str] = []
    for part in parts:
        try:
            for name, figures in assessment.measure([part]):
                report[name] = figures
                run.log(figure=name, **figures)
        except Exception as error:
            failed.append(part)
            run.log(failed=part, because=repr(error)[:500])
    return report, failed
