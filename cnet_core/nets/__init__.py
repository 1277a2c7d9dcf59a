"""What computes: the nets, their blocks and configs, and the residuals that come out of them."""
