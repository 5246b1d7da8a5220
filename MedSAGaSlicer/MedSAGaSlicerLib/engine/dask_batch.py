"""A batch on a Dask cluster that is there already: each volume is a task, each worker a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from MedSAGaSlicerLib.engine.batch import FAILED, LEFT, OTHER, Order, Outcome, carry_out
from MedSAGaSlicerLib.errors import DependencyError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE_S: Final = 30


def run_on_cluster(address: str, orders: Sequence[Order]) -> Iterator[Outcome]:
    """Do the volumes on a cluster, as one outcome after the other, in the order they end.

    Workers need this library, and must see the files under the same paths. After a fault that would
    befall the others as well, those not begun are left. When the iterator is closed, as by Ctrl-C,
    what is not begun is called off.

    Raises:
        DependencyError: the package distributed is missing.
        InputError: no scheduler answers at the address.
    """
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        msg = (
            "--dask needs the package distributed. Run: pip install distributed, here and on the "
            "cluster's workers."
        )
        raise DependencyError(msg) from error
    try:
        client = Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = (
            f"No Dask scheduler answers at {address!r} ({error}). Start one by `dask scheduler`, "
            "or check the address, such as tcp://host:8786."
        )
        raise InputError(msg) from error
    with client:
        # Not pure: a file that failed may be another one the next time.
        futures = {client.submit(carry_out, order, pure=False): order for order in orders}
        try:
            yield from _outcomes(client, futures, as_completed(futures, loop=client.loop))
        finally:
            client.cancel(list(futures))


def _outcomes(
    client: Any, futures: Mapping[Any, Order], completed: Iterator[Any]
) -> Iterator[Outcome]:
    waiting = dict(futures)
    for future in completed:
        order = waiting.pop(future)
        outcome = _outcome(future, order)
        yield outcome
        if outcome.is_hopeless:
            # Those that run cannot be stopped, but end soon, for the same reason.
            client.cancel(list(waiting))
            for left in waiting.values():
                yield Outcome(left.name, LEFT)
            return


def _outcome(future: Any, order: Order) -> Outcome:
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    # The order itself never raises: its worker died, or could not even read it.
    words = " ".join(str(future.exception()).split())
    return Outcome(order.name, FAILED, message=f"The cluster's worker failed: {words}", fault=OTHER)
