"""The only paths and files of a run."""
