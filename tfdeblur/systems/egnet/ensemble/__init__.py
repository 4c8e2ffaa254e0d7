"""EGNet's self-ensemble (section 3.2 of the paper): three results of one network, fused."""
