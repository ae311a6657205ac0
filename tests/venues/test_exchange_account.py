"""Transfers, funding and memory of a simulated exchange account."""

import pytest
from tests.venues.worlds import HOUR, START, Desk, StillClock, at_once, exchange_desk, exchange_terms

from basis_actors.errors import Rejected
from basis_actors.messages.commands import IncomingTransfer
from basis_actors.messages.execution import DeltaSource, ExecutionStatus
from basis_actors.messages.market import FundingStamp
from basis_actors.messages.orders import Side
from basis_actors.venues.simulated.exchange import SimulatedExchange

CASH, MARGIN, TRANSIT = "binance:BaseToken:USDT", "binance:Margin:USDT", "transit:BaseToken:USDT"


def stamp(hour: int, rate: float | None, mark: float | None = 40_000.0, perp: str = "binance:BTC-PERP") -> FundingStamp:
    return FundingStamp(START + hour * HOUR, perp, rate, mark)


def test_the_two_wallets_of_a_split_account_exchange_money_at_once_and_free() -> None:
    desk = exchange_desk()
    answer = desk.send(desk.transfer(30_000.0, MARGIN, CASH, "binance"))
    assert answer.actual_deltas == {MARGIN: -30_000.0, CASH: 30_000.0}
    assert answer.fee_amount == 0.0
    assert [settlement.source for settlement in answer.settlements] == [DeltaSource.TRANSFER]


def test_a_withdrawal_leaves_through_transit_and_its_fee_is_a_settlement_of_its_own() -> None:
    desk = exchange_desk()
    desk.send(desk.transfer(30_000.0, MARGIN, CASH, "binance"))
    answer = desk.send(desk.transfer(20_000.0, CASH, "wallet:BaseToken:USDT", "wallet"))
    assert answer.actual_deltas == {CASH: -20_000.0, TRANSIT: 20_000.0}
    assert (answer.fee_amount, answer.fee_currency) == (1.0, "USDT")
    assert [settlement.source for settlement in answer.settlements] == [DeltaSource.TRANSFER, DeltaSource.FEE]
    assert desk.report() == {CASH: 9_999.0, MARGIN: 70_000.0}


def test_all_that_is_there_beside_the_fee_can_be_withdrawn_without_dust() -> None:
    desk = exchange_desk(usdt=0.3)
    desk.give(CASH, 12_345.678_9)
    amount = (12_345.678_9 - 1.0) * (1.0 + 1e-12)
    desk.send(desk.transfer(amount, CASH, "wallet:BaseToken:USDT", "wallet"))
    assert desk.report() == {MARGIN: 0.3}
    assert desk.ledger[CASH] == 0.0


def test_a_withdrawal_cannot_take_the_margin_of_open_positions() -> None:
    desk = exchange_desk(free=True)
    desk.send(desk.perp(Side.SHORT, 2.0))
    needed = 80_000.0 / 150.0
    with pytest.raises(Rejected, match="EXEC-004"):
        desk.send(desk.transfer(100_000.0 - needed + 1.0, MARGIN, CASH, "binance"))
    desk.send(desk.transfer(100_000.0 - needed - 1.0, MARGIN, CASH, "binance"))


def test_unrealised_profit_cannot_be_withdrawn_and_unrealised_loss_stays() -> None:
    desk = exchange_desk(free=True)
    desk.send(desk.perp(Side.SHORT, 1.0))
    desk.tick(btc=30_000.0)
    with pytest.raises(Rejected, match="100000 is there"):
        desk.send(desk.transfer(105_000.0, MARGIN, CASH, "binance"))
    desk.tick(btc=50_000.0)
    with pytest.raises(Rejected):
        desk.send(desk.transfer(90_000.0, MARGIN, CASH, "binance"))


def test_transfers_name_their_keys_one_token_and_a_cash_key() -> None:
    desk = exchange_desk()
    bad = desk.transfer(1.0, MARGIN, CASH, "binance")
    cases = [
        (desk.order(bad.operation, 1.0, "USDT", "USDT"), "EXEC-003", "source_key"),
        (desk.transfer(1.0, MARGIN, "binance:BaseToken:BTC", "binance"), "EXEC-003", "one token"),
        (desk.transfer(1.0, "bybit:BaseToken:USDT", CASH, "binance"), "EXEC-003", "no cash of binance"),
        (desk.transfer(1.0, MARGIN, MARGIN, "binance"), "EXEC-003", "both"),
        (desk.transfer(1.0, MARGIN, "wallet:BaseToken:USDT", "external"), "EXEC-004", "wallet"),
        (desk.transfer(1.0, "binance:BaseToken:DOGE", "wallet:BaseToken:DOGE", "wallet"), "VEN-004", "DOGE"),
    ]
    for order, code, word in cases:
        with pytest.raises(Rejected) as error:
            desk.send(order)
        assert error.value.code == code
        assert word in error.value.message


def test_tokens_on_their_way_are_reported_as_transit_until_they_arrive() -> None:
    desk = exchange_desk(usdt=0.0)
    arrives = desk.clock.ns + HOUR + HOUR // 3
    at_once(desk.venue.expect(IncomingTransfer("t1", CASH, TRANSIT, 500.0, arrives)))
    assert desk.report() == {TRANSIT: 500.0}
    assert desk.tick() == ()
    assert desk.report() == {TRANSIT: 500.0}
    desk.ledger[TRANSIT] = 500.0
    (arrival,) = desk.tick()
    assert arrival.source is DeltaSource.TRANSFER
    assert arrival.operation_id == "t1"
    assert arrival.timestamp.isoformat() == "2024-01-01T01:20:00+00:00"
    assert desk.report() == {CASH: 500.0}
    assert desk.ledger == {TRANSIT: 0.0, CASH: 500.0}


def test_a_short_receives_a_positive_rate_at_the_mark_of_the_stamp() -> None:
    desk = exchange_desk(free=True)
    desk.send(desk.perp(Side.SHORT, 2.0))
    (paid,) = desk.tick(btc=41_000.0, funding=[stamp(desk.hour + 1, 0.0001, 40_500.0)])
    assert paid.source is DeltaSource.FUNDING
    assert paid.deltas[0].delta_amount == pytest.approx(2.0 * 40_500.0 * 0.0001)
    assert paid.deltas[0].price == 0.0001
    assert paid.deltas[0].position_key == MARGIN


def test_a_long_pays_what_a_short_receives() -> None:
    received = []
    for side in (Side.LONG, Side.SHORT):
        desk = exchange_desk(free=True)
        desk.send(desk.perp(side, 2.0))
        desk.tick(funding=[stamp(desk.hour + 1, 0.0003)])
        received.append(desk.report()[MARGIN] - 100_000.0)
    assert received[0] == pytest.approx(-received[1])
    assert received[0] < 0.0


def test_a_missing_rate_settles_nothing_and_is_not_replaced_by_the_last_one() -> None:
    desk = exchange_desk(free=True)
    desk.send(desk.perp(Side.SHORT, 2.0))
    assert len(desk.tick(funding=[stamp(desk.hour + 1, 0.0001)])) == 1
    assert desk.tick(funding=[stamp(desk.hour + 1, None)]) == ()
    assert desk.tick(funding=[stamp(desk.hour + 1, 0.0001, None)]) == ()


def test_funding_of_other_venues_and_of_flat_perps_is_not_ours() -> None:
    desk = exchange_desk(free=True)
    desk.send(desk.perp(Side.SHORT, 2.0))
    others = [stamp(desk.hour + 1, 0.01, perp=name) for name in ("bybit:BTC-PERP", "binance:ETH-PERP")]
    assert desk.tick(funding=others) == ()


def test_every_stamp_between_two_ticks_is_settled_in_order_with_arrivals() -> None:
    desk = exchange_desk(free=True)
    desk.send(desk.perp(Side.SHORT, 1.0))
    hour = desk.hour
    arrives = START + (hour + 9) * HOUR
    at_once(desk.venue.expect(IncomingTransfer("t1", CASH, TRANSIT, 500.0, arrives)))
    desk.ledger[TRANSIT] = 500.0
    settled = desk.tick(hours=24, funding=[stamp(hour + after, 0.0001) for after in (8, 16, 24)])
    assert [settlement.source.value for settlement in settled] == ["funding", "transfer", "funding", "funding"]


def test_an_order_is_remembered_and_not_carried_out_twice() -> None:
    desk = exchange_desk(free=True)
    order = desk.perp(Side.SHORT, 1.0)
    answer = desk.send(order)
    with pytest.raises(Rejected, match="already sent"):
        desk.send(order)
    assert desk.report()["binance:PerpPosition:BTC-PERP"] == -1.0
    assert at_once(desk.venue.resolve(order)) is answer


def test_a_refused_order_is_remembered_as_failed_and_one_that_never_came_may_be_sent_again() -> None:
    desk = exchange_desk()
    order = desk.perp(Side.SHORT, 0.00001)
    with pytest.raises(Rejected):
        desk.send(order)
    failed = at_once(desk.venue.resolve(order))
    assert (failed.status, failed.error_code) == (ExecutionStatus.FAILED, "EXEC-004")
    never = at_once(desk.venue.resolve(desk.perp(Side.SHORT, 1.0)))
    assert (never.status, never.error_code, never.retryable) == (ExecutionStatus.FAILED, "EXEC-001", True)


def test_an_answer_that_was_forgotten_is_unknown() -> None:
    desk = exchange_desk(free=True)
    first = desk.transfer(1.0, MARGIN, CASH, "binance")
    desk.send(first)
    for _ in range(4096):
        desk.send(desk.transfer(1.0, MARGIN, CASH, "binance"))
    assert at_once(desk.venue.resolve(first)).status is ExecutionStatus.UNKNOWN


class HeldUp(StillClock):
    """A clock on which somebody asks what became of the order while it travels."""

    desk: Desk
    seen: ExecutionStatus | None = None

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        order = self.desk.perp(Side.SHORT, 1.0, operation_id="slow")
        self.seen = (await self.desk.venue.resolve(order)).status
        with pytest.raises(Rejected, match="already sent"):
            await self.desk.venue.execute(order)


def test_an_order_under_way_is_unknown_and_takes_the_latency_of_the_venue() -> None:
    clock = HeldUp()
    clock.desk = desk = Desk(SimulatedExchange(exchange_terms(), clock, latency_seconds=0.25), clock)
    desk.tick()
    desk.give(MARGIN, 50_000.0)
    answer = desk.send(desk.perp(Side.SHORT, 1.0, operation_id="slow"))
    assert clock.slept == [0.25]
    assert clock.seen is ExecutionStatus.UNKNOWN
    assert answer.was_successful()
