"""The orchestrator: queries protector and invader as an oracle attack does, and computes PSR."""
