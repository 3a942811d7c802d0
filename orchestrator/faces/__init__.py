"""Where photos come from: folders of identities, and synthetic people."""
