"""Checkpoint files: recognised by their content, read without running anything, their weights under one naming."""
