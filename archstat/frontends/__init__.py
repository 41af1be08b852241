"""Front ends: whatever describes a network, made into a Graph."""
