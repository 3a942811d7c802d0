"""The invader: names faces by several recognizers and discloses ranked identities only."""
