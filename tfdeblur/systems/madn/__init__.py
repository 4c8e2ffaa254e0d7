"""MADN: multi-scale generative adversarial deblurring network with gradient guidance."""
