"""ONNX models, read without torch, without running them and without their weights."""
