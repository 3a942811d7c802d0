"""One architecture a file with the formats of its checkpoints, the heads, and the recognizer behind its interface."""
