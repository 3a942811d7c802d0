"""Checks of an invader, a theme a file."""
