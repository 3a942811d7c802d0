"""The only way to a service: clients, what they list, rate limits, retries, recovery, and services started as children."""
