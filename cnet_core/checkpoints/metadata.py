"""What our files say of a net in their metadata, besides its weights."""

import json

from ..controlnet import ControlNet

#: Metadata key under which our files hold the UNetConfig.
CONFIG_KEY = "cnet_config"
#: Metadata key that says "true" in our files of pooled nets.
POOLED_KEY = "cnet_pooled"


def metadata_of(net: ControlNet) -> dict[str, str]:
    """Returns the metadata of a net's file."""
    pooled = {POOLED_KEY: "true"} if net.pooled else {}
    return {CONFIG_KEY: json.dumps(net.config.to_dict()), **pooled}
