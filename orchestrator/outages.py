"""What every outage has in common, of a service or a database: how long it is waited for, and that nothing is lost."""

OUTAGE_TIMEOUT_SECONDS = 120.0  # in which a service is started again, with its networks
CONTINUE = "what was observed is recorded, and the run can be continued"
