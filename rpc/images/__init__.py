"""Images from outside: which are taken, within which limits, and how they are decoded."""
