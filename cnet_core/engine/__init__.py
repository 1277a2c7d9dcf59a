"""The engine: takes one UNet call and returns its Residuals."""
