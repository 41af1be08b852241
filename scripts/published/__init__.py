"""The published figures, recomputed: which network, under which convention, with which verdict."""
