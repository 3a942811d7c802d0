"""One version a file. What is written here never changes: stores were made by it."""
