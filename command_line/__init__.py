"""What the project's command lines have in common."""
