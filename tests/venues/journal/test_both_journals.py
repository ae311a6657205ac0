"""What every journal keeps, refuses and gives back to the process that comes after a kill."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.venues.journal.intents import Journal, fill, held, incoming, intent, legs, payment, withdrawal
from tests.venues.journal.kept import Kept

from basis_actors.errors import BasisError
from basis_actors.messages.journal import IntentState
from basis_actors.messages.stops import StopKind, StopTicket

S = IntentState
ALLOWED = {
    S.PENDING: {S.SENT, S.CANCELLED},
    S.SENT: {S.ACKNOWLEDGED, S.UNKNOWN, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED},
    S.ACKNOWLEDGED: {S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED},
    S.UNKNOWN: {S.ACKNOWLEDGED, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED},
    S.PARTIALLY_FILLED: {S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED},
    S.FILLED: set(),
    S.REJECTED: set(),
    S.CANCELLED: set(),
}
WAY_TO = {
    S.PENDING: (),
    S.SENT: (S.SENT,),
    S.ACKNOWLEDGED: (S.SENT, S.ACKNOWLEDGED),
    S.UNKNOWN: (S.SENT, S.UNKNOWN),
    S.PARTIALLY_FILLED: (S.SENT, S.PARTIALLY_FILLED),
    S.FILLED: (S.SENT, S.FILLED),
    S.REJECTED: (S.SENT, S.REJECTED),
    S.CANCELLED: (S.CANCELLED,),
}


async def brought_to(journal: Journal, name: str, state: IntentState) -> None:
    await journal.intend(intent(name, name))
    for step in WAY_TO[state]:
        await journal.advance(name, step, Decimal(0), "on its way", 20)


@pytest.mark.parametrize("state", S)
async def test_knowledge_goes_forward_and_never_back(kept: Kept, state: IntentState) -> None:
    journal = kept.journal
    for following in S:
        name = f"to {following}"
        await brought_to(journal, name, state)
        before = await journal.attempts(1, name)
        if following in ALLOWED[state]:
            entry = await journal.advance(name, following, Decimal("0.05"), "the exchange says so", 30)
            known = (entry.state, entry.filled, entry.evidence, entry.changed_ns)
            assert known == (following, Decimal("0.05"), "the exchange says so", 30)
            assert await journal.attempts(1, name) == (entry,)
        else:
            text = f"ENGINE-003: intent '{name}' of {name} is {state} .* cannot become {following}"
            with pytest.raises(BasisError, match=text):
                await journal.advance(name, following, Decimal("0.05"), "the exchange says so", 30)
            assert await journal.attempts(1, name) == before
    known_of_all = [await journal.attempts(1, f"to {following}") for following in S]
    reopened = kept.reopen()
    assert [await reopened.attempts(1, f"to {following}") for following in S] == known_of_all


async def test_a_filled_amount_never_shrinks(journal: Journal) -> None:
    await brought_to(journal, "c1", S.SENT)
    await journal.advance("c1", S.PARTIALLY_FILLED, Decimal("0.06"), "part", 21)
    with pytest.raises(BasisError, match=r"ENGINE-003: .* with 0\.06 filled .* cannot become filled with 0\.05"):
        await journal.advance("c1", S.FILLED, Decimal("0.05"), "less", 22)
    assert (await journal.attempts(1, "c1"))[0].filled == Decimal("0.06")


async def test_an_id_is_used_once(kept: Kept) -> None:
    await kept.journal.intend(intent("c1", "first"))
    for find in (lambda: kept.journal, kept.reopen):
        journal = find()
        with pytest.raises(BasisError, match="ENGINE-003: intent 'c1' of second is in the journal already, as first"):
            await journal.intend(intent("c1", "second"))
        assert await journal.attempts(1, "second") == ()


async def test_what_was_never_written_down_cannot_be_known_more_of(journal: Journal) -> None:
    with pytest.raises(BasisError, match="ENGINE-003: intent 'c9' is not in the journal"):
        await journal.advance("c9", S.SENT, Decimal(0), "sent", 20)


async def test_operation_ids_repeat_from_one_process_to_the_next(kept: Kept) -> None:
    await kept.journal.intend(intent("c1", "op", incarnation=1))
    journal = kept.reopen()
    assert journal.incarnation == 2
    await journal.intend(intent("c2", "op", incarnation=2))
    await journal.intend(intent("c3", "op", incarnation=2))
    assert [entry.intent.client_id for entry in await journal.attempts(1, "op")] == ["c1"]
    assert [entry.intent.client_id for entry in await journal.attempts(2, "op")] == ["c2", "c3"]
    assert [entry.intent.client_id for entry in await journal.unresolved("binance")] == ["c1", "c2", "c3"]


async def test_a_deployment_keeps_its_name_and_counts_its_processes(kept: Kept) -> None:
    name = kept.journal.deployment
    assert kept.journal.incarnation == 1
    for number in (2, 3, 4):
        assert (kept.reopen().deployment, kept.journal.incarnation) == (name, number)


async def test_trades_and_payments_count_once_for_each_domain(kept: Kept) -> None:
    for find, new in ((lambda: kept.journal, True), (lambda: kept.journal, False), (kept.reopen, False)):
        journal = find()
        assert await journal.book_fill("binance", fill("f1")) is new
        assert await journal.book_fill("bybit", fill("f1")) is new
        assert await journal.book_fill("binance", fill("f1", "ETH-PERP")) is new
        assert await journal.book_payment("binance", payment("p1")) is new
        assert await journal.book_payment("bybit", payment("p1")) is new


async def test_what_is_on_its_way_arrives_once(kept: Kept) -> None:
    first, second = incoming("op"), incoming("op", 2_000.0)
    for transfer in (first, second, first):
        await kept.journal.expect("bybit", transfer)
    assert await kept.journal.expected("bybit") == (first, second, first)
    assert await kept.journal.expected("binance") == ()
    await kept.journal.arrived("bybit", first)
    assert await kept.journal.expected("bybit") == (second, first)
    assert await kept.reopen().expected("bybit") == (second, first)
    await kept.journal.arrived("bybit", first)
    with pytest.raises(BasisError, match=r"ENGINE-003: 1000\.1 of 'op' have arrived at bybit, where \['op'\] was"):
        await kept.journal.arrived("bybit", first)
    with pytest.raises(BasisError, match=r"ENGINE-003: .* have arrived at binance, where nothing was expected"):
        await kept.journal.arrived("binance", second)
    assert await kept.reopen().expected("bybit") == (second,)


async def test_a_deposit_and_the_end_of_its_transfer_are_one_write(kept: Kept) -> None:
    """A kill between the two would leave tokens on their way for ever."""
    journal = kept.journal
    await journal.expect("bybit", incoming("op"))
    with pytest.raises(BasisError, match=r"ENGINE-003: .* have arrived at bybit"):
        await journal.book_payment("bybit", payment("p1"), incoming("another"))
    assert await journal.book_payment("bybit", payment("p1"), incoming("op"))
    assert await journal.expected("bybit") == ()
    assert not await journal.book_payment("bybit", payment("p1"), incoming("op"))
    journal = kept.reopen()
    assert await journal.expected("bybit") == ()
    assert not await journal.book_payment("bybit", payment("p1"))


async def test_what_an_exchange_calls_an_intent_names_it(kept: Kept) -> None:
    journal = kept.journal
    for name, domain in (("c1", "binance"), ("c2", "bybit")):
        await journal.intend(intent(name, name, domain))
        await journal.advance(name, S.SENT, Decimal(0), "sent", 20)
        await journal.advance(name, S.PARTIALLY_FILLED, Decimal("0.05"), "part", 21, "o1")
        await journal.advance(name, S.FILLED, Decimal("0.1"), "all", 22)
    for find in (lambda: kept.journal, kept.reopen):
        found = await find().named("bybit", "BTC-PERP", "o1")
        assert found is not None
        assert (found.intent.client_id, found.venue_id) == ("c2", "o1")
        for other in (
            ("okx", "BTC-PERP", "o1"),
            ("bybit", "ETH-PERP", "o1"),
            ("bybit", None, "o1"),
            ("bybit", "o", "o2"),
        ):
            assert await kept.journal.named(*other) is None


async def test_a_group_is_open_until_its_own_process_or_a_later_one_ends_it(kept: Kept) -> None:
    await kept.journal.begin_group("group", legs("group"))
    await kept.journal.begin_group("other", legs("other", 3))
    journal = kept.reopen()
    await journal.begin_group("group", legs("group"))
    assert await journal.open_groups() == ((1, legs("group")), (1, legs("other", 3)), (2, legs("group")))
    await journal.end_group(1, "group")
    assert await journal.open_groups() == ((1, legs("other", 3)), (2, legs("group")))
    await journal.end_group(1, "nothing of that name")
    await kept.reopen().end_group(2, "group")
    assert await kept.reopen().open_groups() == ((1, legs("other", 3)),)


async def test_what_is_open_names_its_domains(kept: Kept) -> None:
    journal = kept.journal
    await journal.intend(intent("c1", domain="binance"))
    await journal.begin_group("group", legs("group", 2)[1:])
    assert await journal.domains() == {"binance", "bybit"}
    await journal.advance("c1", S.CANCELLED, Decimal(0), "never sent", 20)
    assert await kept.reopen().domains() == {"bybit"}
    await kept.journal.end_group(1, "group")
    assert await kept.reopen().domains() == set()


@pytest.mark.parametrize("text", ["<html>" * 10_000, "half a pair \ud83d", "nul \x00 in it", "", "‹ÿ›"])
async def test_evidence_is_kept_whatever_an_exchange_says(kept: Kept, text: str) -> None:
    await kept.journal.intend(intent("c1"))
    entry = await kept.journal.advance("c1", S.SENT, Decimal(0), text, 20)
    assert len(entry.evidence) <= 1_000
    assert (await kept.reopen().attempts(1, "op"))[0] == entry


async def test_stops_are_listed_whatever_became_of_them_and_name_the_order_they_became(kept: Kept) -> None:
    """The process that comes next has to know of the ones that fired, not of those alone that still wait."""
    for name in ("s1", "s2"):
        ticket = StopTicket(client_id=name, pair="BTC-PERP", buys=True, kind=StopKind.STOP_LOSS, trigger=Decimal("9.5"))
        await kept.journal.intend(replace(intent(name, f"entry-{name}"), ticket=ticket))
        await kept.journal.intend(intent(f"order-{name}"))
    await kept.journal.advance("s1", S.SENT, Decimal(0), "sent", 20)
    await kept.journal.advance("s1", S.PARTIALLY_FILLED, Decimal(0), "fired", 21, "o1")
    await kept.journal.advance("s1", S.FILLED, Decimal("0.1"), "the position is closed", 22)
    for journal in (kept.journal, kept.reopen()):
        stops = await journal.stops("binance")
        assert [(entry.intent.client_id, entry.state) for entry in stops] == [("s1", S.FILLED), ("s2", S.PENDING)]
        assert await journal.named("binance", "BTC-PERP", "o1") == stops[0]
        assert await journal.stops("bybit") == ()


async def since(journal: Journal) -> tuple[int, tuple[object, ...]]:
    """When an account was known last, and what came since."""
    remembered = await journal.remembered("binance")
    assert remembered is not None
    return remembered.held.time_ns, (*remembered.fills, *remembered.payments, *remembered.transfers)


async def test_what_an_account_held_is_remembered_with_what_came_since(kept: Kept) -> None:
    journal = kept.journal
    assert await journal.remembered("binance") is None
    await journal.book_fill("binance", fill("before"))
    await journal.book_payment("binance", payment("before"))
    await journal.intend(withdrawal("before"))
    await journal.keep("binance", held(10, USDT=1.5))
    await journal.book_fill("bybit", fill("elsewhere"))
    await journal.intend(withdrawal("elsewhere", "bybit"))
    assert await since(journal) == (10, ())
    journal = kept.reopen()
    assert await since(journal) == (10, ())
    assert await journal.remembered("bybit") is None
    await journal.book_fill("binance", fill("before"))
    await journal.book_fill("binance", fill("since"))
    await journal.book_payment("binance", payment("since"))
    await journal.intend(withdrawal("since"))
    await journal.intend(intent("trade"))
    entry = await journal.advance("since", S.SENT, Decimal(0), "sent", 20)
    assert await since(journal) == (10, (fill("since"), payment("since"), entry))
    journal = kept.reopen()
    assert await since(journal) == (10, (fill("since"), payment("since"), entry))
    await journal.keep("binance", held(30, USDT=2.5))
    assert await since(journal) == (30, ())
    journal = kept.reopen()
    assert await since(journal) == (30, ())
