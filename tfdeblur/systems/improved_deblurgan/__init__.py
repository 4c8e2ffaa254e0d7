"""Improved DeblurGAN: a dense block and depthwise separable convolutions."""
