"""Claims that surveys and papers make about architectures, each recomputed by one command."""
