"""One architecture a file, the heads, the layouts of their tensors, and the recognizer behind its interface."""
