"""Rows, columns and notes: a file a command."""
