"""What is demanded of an invader, a theme a file."""
