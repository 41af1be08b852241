"""A whole training step (forward, loss, backward, optimizer) on meta, its memory counted."""
