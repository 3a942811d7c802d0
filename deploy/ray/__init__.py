"""Replicas of both services on a Ray cluster, which schedules them and carries none of their calls."""
