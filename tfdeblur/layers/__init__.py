"""Keras layers that two or more systems use, one idea per file."""
