"""Finished cloaks on their way to a customer."""

import threading

from protector_service.order import Cloak, Customer, Order


class Outbox:
    """Hands an order's cloaks over one at a time, within a method the smaller budgets first.

    The rows of a trajectory are stepped by several threads, so that a larger budget can be finished before a smaller one.
    """

    def __init__(self, order: Order, customer: Customer) -> None:
        self._customer = customer
        self._due = {method.name: list(method.budgets(order.epsilons)) for method in order.methods}
        self._early: dict[tuple[str, int], Cloak] = {}
        self._delivering = threading.Lock()

    def add(self, cloak: Cloak) -> None:
        """Delivers a cloak and those that waited for it, or holds it until the smaller budgets have gone."""
        with self._delivering:
            self._early[cloak.method, cloak.epsilon] = cloak
            due = self._due[cloak.method]
            while due and (next_one := self._early.pop((cloak.method, due[0]), None)) is not None:
                del due[0]
                self._customer.deliver(next_one)
