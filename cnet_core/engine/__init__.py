"""One UNet call in, one Residuals out: the heart of the library."""
