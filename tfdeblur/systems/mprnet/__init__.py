"""MPRNet, the baseline that EGNet builds on."""
