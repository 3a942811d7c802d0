"""gRPC plumbing that both services and their client share. Nothing here knows torch."""
