"""Files that hold tensors: headers, memory maps, pickles, shards and where they lie; knows no ControlNet."""
