"""Errors that a program tells in one line, and the exit statuses that all programs have in common."""

FAILED, INTERRUPTED = 2, 130


class OperatorError(Exception):
    """Its message alone tells the person who runs a program what is wrong and, where there is one, the way out."""
