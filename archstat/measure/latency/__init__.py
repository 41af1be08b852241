"""Measuring real modules on cpu and cuda: conditions, samples, rounds, intervals."""
