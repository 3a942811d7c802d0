"""One evaluation: its plan, drawing subjects, observing one, when to stop, progress, and the summary."""
