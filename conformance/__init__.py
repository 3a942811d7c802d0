"""Black-box checks of a running protector or invader: whether it speaks the schema as the bench needs it spoken.

A check sees the wire alone, so that a service in any language can be checked. What cannot be seen from there (what a service
logs, what it computes for a call that was cancelled) is not judged.
"""
