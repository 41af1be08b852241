"""Programs that `torch.export` made: files and objects, read without running their code."""
