"""Environment variables that begin as a service's settings do, and are none: what Kubernetes injects.

It tells every container which Services there are, by variables that begin with a Service's name. Those of one that is called
`deid-invader`, or `deid-invader-metrics`, begin as the invader's settings do, and its address comes as DEID_INVADER_PORT
(https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
"""

import re
from collections.abc import Mapping

_NAME = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", flags=re.ASCII)
_PORT_NAME = re.compile(r"(\w+_)?PORT", flags=re.ASCII)
_PORT_VALUE = re.compile(r"(tcp|udp|sctp)://.+")


def injected_variables(prefix: str, environment: Mapping[str, str]) -> list[str]:
    """The variables with this prefix that Kubernetes injects.

    Most are told by their names; a port, which may be a setting too, by its value, such as `tcp://10.0.0.1:50052`.
    """
    return sorted(
        name
        for name, value in environment.items()
        if name.startswith(prefix) and _is_injected(name.removeprefix(prefix), value)
    )


def _is_injected(name: str, value: str) -> bool:
    return bool(_NAME.fullmatch(name) or (_PORT_NAME.fullmatch(name) and _PORT_VALUE.fullmatch(value)))
