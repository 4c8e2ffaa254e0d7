"""EGNet: MPRNet with an enhanced gradient network in its first two stages."""
