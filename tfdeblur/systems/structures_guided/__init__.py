"""The structures-guided GAN: a sub-network that learns image gradients, and a gradient loss."""
