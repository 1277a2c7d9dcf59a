"""Nodes for tests alone: small random models and conds, counters of UNet calls, latents saved exactly."""

from . import company, families, hinder, models, odd, record, travelling

NODE_CLASS_MAPPINGS = {
    name: value
    for module in (company, families, hinder, models, odd, record, travelling)
    for name, value in vars(module).items()
    if name.startswith("Probe")
}
