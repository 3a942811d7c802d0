"""Galleries that clients enrol for the matchers of a service: the same in the protector and in the invader."""
