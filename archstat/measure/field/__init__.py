"""Receptive fields measured on the module itself."""
