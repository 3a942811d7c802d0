"""What is asked, as data: the grid, its cells and cloaks, models as services list them, and the manifest. No I/O."""
