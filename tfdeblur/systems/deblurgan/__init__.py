"""DeblurGAN, the baseline that Improved DeblurGAN and the structures-guided GAN build on."""
