"""gRPC plumbing that both services and the orchestrator share. No torch here."""

import os

# gRPC's own log is no JSON, and strangers write it: a line for every handshake that fails, and for every message that is
# compressed. Before gRPC is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
