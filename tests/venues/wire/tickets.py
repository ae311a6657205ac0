"""Defines orders as tests write them: numbers as text."""

from decimal import Decimal

from basis_actors.messages.exchange import OrderTicket, TimeInForce


def buy(
    pair: str,
    amount: str,
    limit: str | None = None,
    client_id: str = "order1",
    *,
    buys: bool = True,
    reduce_only: bool = False,
    post_only: bool = False,
    ioc: bool = False,
) -> OrderTicket:
    return OrderTicket(
        client_id=client_id,
        pair=pair,
        buys=buys,
        amount=Decimal(amount),
        limit=None if limit is None else Decimal(limit),
        reduce_only=reduce_only,
        post_only=post_only,
        time_in_force=TimeInForce.IOC if ioc else TimeInForce.GTC,
    )


def sell(pair: str, amount: str, limit: str | None = None, client_id: str = "order1", **rest: bool) -> OrderTicket:
    return buy(pair, amount, limit, client_id, buys=False, **rest)
