"""From a folder of photos to matchers: who is enrolled, with which templates, and at which thresholds."""
