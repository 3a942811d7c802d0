"""The methods by which cloaks are crafted: pure tensor code, one method a file, found by its entry point."""
