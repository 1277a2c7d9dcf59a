"""The metadata of saved files: what they say about a net besides its weights."""

import json

from ..nets.controlnet import ControlNet

#: Metadata key of the UNetConfig.
CONFIG_KEY = "cnet_config"
#: Metadata key that is "true" for pooled nets.
POOLED_KEY = "cnet_pooled"


def metadata_of(net: ControlNet) -> dict[str, str]:
    """Returns the metadata of a net's file."""
    pooled = {POOLED_KEY: "true"} if net.pooled else {}
    return {CONFIG_KEY: json.dumps(net.config.to_dict()), **pooled}
