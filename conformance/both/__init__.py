"""Checks that a protector and an invader share, a theme a file."""
