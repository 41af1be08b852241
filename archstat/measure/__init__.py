"""What runs the real thing: other tools, fields, training steps, latencies."""
