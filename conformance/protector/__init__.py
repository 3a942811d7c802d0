"""What is demanded of a protector, a theme a file."""
