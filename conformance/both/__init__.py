"""What is demanded of a protector and of an invader alike, a theme a file."""
