"""How `predict` has a service assess its films in place of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bonexage.errors import WrongUse

if TYPE_CHECKING:
    from bonexage.serving.client import Client

TOKEN_VARIABLE: Final = "BONEXAGE_TOKEN"


def client_of(address: str, only_here: Mapping[str, object]) -> Client:
    """A client of the service, with the token in the environment.

    Args:
        address: the service's.
        only_here: options that only this machine can obey, by name; none of them may be given.

    Raises:
        WrongUse: one of them is, or the address is none.
        MissingExtra: what asks a service is not installed.
    """
    from bonexage.serving.client import Client

    given = [name for name, value in only_here.items() if value]
    if given:
        raise WrongUse(
            f"--server leaves the assessing to the service, and {', '.join(given)} is obeyed only here",
            remedy="Leave one of them out",
        )
    return Client(address, token=os.environ.get(TOKEN_VARIABLE) or None)
