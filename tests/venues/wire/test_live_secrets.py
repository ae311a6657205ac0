"""Whatever goes wrong and however closely it is looked at: no text of the adapter shows key, secret or signature."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from tests.exchange.server import KEY, PASSPHRASE, SECRET, LocalExchange
from tests.exchange.worlds import connected, funded, impatient
from tests.venues.wire.speech import SPEECHES
from tests.venues.wire.tickets import buy

from basis_actors.errors import VenueError
from basis_actors.venues.wire.adapter import Adapter
from basis_actors.venues.wire.answers import ApiCall

HUSH = (KEY, SECRET, PASSPHRASE)
FUNDED = {"binance": funded} | {venue: speech.funded for venue, speech in SPEECHES.items()}
PLACE = {"binance": "POST /fapi/v1/order"} | {venue: speech.place for venue, speech in SPEECHES.items()}
FIND = {"binance": "GET /fapi/v1/order"} | {venue: speech.find for venue, speech in SPEECHES.items()}


@pytest.fixture(params=FUNDED)
async def exchange(request: pytest.FixtureRequest) -> AsyncIterator[LocalExchange]:
    """Each exchange in turn."""
    async with FUNDED[request.param]() as running:
        yield running


@pytest.fixture
async def api(exchange: LocalExchange, calls: list[ApiCall]) -> AsyncIterator[Adapter]:
    """The adapter."""
    async with connected(exchange, record=calls.append) as ready:
        yield ready


def secrets_of(exchange: LocalExchange) -> str:
    """Everything secret that the adapter has been given."""
    return f"{KEY} {SECRET} {PASSPHRASE if exchange.venue == 'okx' else ''}"


def echo(exchange: LocalExchange, route: str) -> None:
    """Refuse with everything that is secret in the text."""
    if exchange.venue == "binance":
        exchange.faults.answer(route, 400, {"code": -9000, "msg": secrets_of(exchange)})
    else:
        exchange.faults.answer(route, *SPEECHES[exchange.venue].coded(9000, secrets_of(exchange)))


def hidden_in(text: str) -> bool:
    return not any(secret in text for secret in HUSH) and "signature=" not in text


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def fail(what: Callable[[], Awaitable[object]]) -> str:
    """The error with everything that a traceback can show, variables of every frame included."""
    with pytest.raises(VenueError) as caught:
        await what()
    texts = [f"{error!r} {error}" for error in chain(caught.value)]
    for error in chain(caught.value):
        ours = [frame for frame in traceback.walk_tb(error.__traceback__) if frame[0].f_globals["__name__"] != __name__]
        summary = traceback.StackSummary.extract(iter(ours), capture_locals=True)
        texts += [*summary.format(), "".join(traceback.format_exception(error))]
    return "\n".join(texts)


@pytest.fixture
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger of the process at its most talkative."""
    before = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    caplog.set_level(logging.DEBUG)
    for name in before:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield caplog
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


FAULTS: dict[str, Callable[[LocalExchange, str], None]] = {
    "silence": lambda exchange, route: exchange.faults.hang(route, carried_out=True),
    "broken connection": lambda exchange, route: exchange.faults.drop_after(route, 4),
    "refusal that repeats them": echo,
    "page that repeats them": lambda exchange, route: exchange.faults.answer(
        route, 502, f"<p>{secrets_of(exchange)}</p>"
    ),
    "success that repeats them": lambda exchange, route: exchange.faults.answer(
        route, 200, f'["{secrets_of(exchange)}"]'
    ),
    "revoked key": lambda exchange, _route: setattr(exchange, "revoked", True),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_no_failure_shows_a_secret(
    exchange: LocalExchange,
    api: Adapter,
    calls: list[ApiCall],
    everything_is_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    await api.prepare({"BTC-PERP": 5})
    shown = []
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        PLACE[exchange.venue]: lambda: api.place(buy("BTC-PERP", "0.5")),
        FIND[exchange.venue]: lambda: api.order("BTC-PERP", "order1"),
    }
    for route, ask in asks.items():
        FAULTS[fault](exchange, route)
        with impatient(api):
            shown.append(await fail(ask))
    printed = capfd.readouterr()
    shown += [everything_is_logged.text, printed.out, printed.err, repr(calls), str(calls)]
    assert all(hidden_in(text) for text in shown)
    # Where they do show: the test looks in the right places.
    assert exchange.journal.requests
    assert "order1" in shown[0]


async def test_no_view_of_the_adapter_shows_a_secret(api: Adapter) -> None:
    parts: list[object] = [api]
    seen: set[int] = set()
    texts = []
    while parts:
        part = parts.pop()
        if id(part) in seen or not type(part).__module__.startswith("basis_actors"):
            continue
        seen.add(id(part))
        texts += [repr(part), str(part)]
        parts += list(vars(part).values()) if hasattr(part, "__dict__") else []
    assert len(texts) > 10
    assert all(hidden_in(text) for text in texts)
