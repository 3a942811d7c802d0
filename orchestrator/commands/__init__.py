"""Commands about runs that were made, a file each. What is heavy they import when they are called."""
