"""Files of tensors: headers, memory maps, pickles, shards and folders. Nothing here depends on ControlNets."""
