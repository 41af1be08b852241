"""What scripts/measure_latency.py is made of."""
