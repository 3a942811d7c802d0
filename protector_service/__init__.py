"""The protector: crafts cloaks with a source recognizer."""
