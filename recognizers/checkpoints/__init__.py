"""Checkpoint files: what they are, told by content, and their weights under one naming."""
