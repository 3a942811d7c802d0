"""Deployments beyond one machine. No part of the wheel: run from a checkout."""
