"""Multi-scale Two-Way network: one encoder, a decoder with skip connections and one without, three scales."""
