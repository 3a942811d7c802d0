"""Where a run's cloaks come from: a protector, or the folder of another run."""
