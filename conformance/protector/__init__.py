"""Checks of a protector, a theme a file."""
