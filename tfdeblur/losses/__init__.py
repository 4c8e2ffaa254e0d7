"""Loss functions: pure, one value per sample.

Each returns float32 [B], the loss of every sample; the trainer divides the sum by the global batch, so that
the number of replicas does not change the gradient.
"""
