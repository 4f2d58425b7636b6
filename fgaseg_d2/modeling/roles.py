"""Who a parameter belongs to, where several parts of a model have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn


def first_claims(claims: Mapping[str, Iterable[nn.Parameter]]) -> dict[str, list[nn.Parameter]]:
    """Give each parameter to the first role that claims it.

    Args:
        claims: by role, in the order in which they count.

    Returns:
        The same roles.
    """
    roles: dict[str, list[nn.Parameter]] = {}
    known: set[int] = set()
    for role, claimed in claims.items():
        roles[role] = [parameter for parameter in claimed if id(parameter) not in known]
        known.update(map(id, roles[role]))
    return roles
