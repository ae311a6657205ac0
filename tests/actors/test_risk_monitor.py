"""Every limit, its levels, and what happens where it cannot be computed. Numbers are worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from tests.actors.desk import market as exchange_market
from tests.actors.store import MemoryStore

from basis_actors.actors.risk_monitor import RiskMonitor
from basis_actors.bus.testkit import Probe, Runtimes
from basis_actors.config import load_mode
from basis_actors.finance.margin import Bracket
from basis_actors.finance.valuation import share_class_prices, value_book
from basis_actors.messages.book import ExposureView, PositionsView, RiskView, TickStarted, Trigger
from basis_actors.messages.events import RiskAssessment, SystemErrorEvent
from basis_actors.messages.execution import DeltaSource, PositionDelta, Settlement
from basis_actors.messages.market import MarketState, PerpQuote, StakingQuote
from basis_actors.services.wiring import risk_bounds
from basis_actors.times import utc_from_ns

pytestmark = pytest.mark.anyio
START = exchange_market().ns
COLLATERAL, DEBT = "aave:aToken:aweETH", "aave:debtToken:debtWETH"
SHORT, COIN = "binance:PerpPosition:BTC-PERP", "binance:InversePerp:BTCUSD-PERP"
RATE = 1.05


def market(**changes: Any) -> MarketState:
    """weETH at 1.05 ETH per token, without a discount; oracle prices at 2,000 USD per ETH."""
    quote = PerpQuote(40_000.0, True, 40_000.0, True, 40_000.0, 40_000.0)
    base = exchange_market()
    base = replace(
        base,
        staking={"weETH": StakingQuote(RATE, RATE, True, True)},
        oracle_usd={"USDT": 1.0, "WETH": 2_000.0, "weETH": 2_000.0 * RATE},
        perps={**base.perps, "binance:BTCUSD-PERP": quote},
    )
    return replace(base, **changes)


class Monitor:
    """A risk monitor of a mode, with the actors beside it taken by probes."""

    def __init__(
        self, runtime: Runtimes, mode: str, *settings: str, hedged: bool = False, store: MemoryStore | None = None
    ) -> None:
        run = load_mode(mode, settings=settings)
        self.currency = run.share_class.currency
        self._bounds = risk_bounds(run, hedged=hedged)
        self.bus = runtime.bus(START, log_sink="event_logger")
        self.log, self.views = Probe("event_logger"), Probe("pnl_monitor", RiskView)
        self._tick = 0
        for actor in (self.log, self.views, RiskMonitor(self._bounds, store)):
            self.bus.add(actor)

    async def sees(
        self,
        positions: Mapping[str, float],
        state: MarketState | None = None,
        entries: Mapping[str, float] | None = None,
        settlements: tuple[Settlement, ...] = (),
    ) -> RiskAssessment:
        """What it makes of a ledger."""
        state = state or market()
        prices = share_class_prices(state, self.currency)
        valuation = value_book(positions, entries or {}, state, prices)
        tick = TickStarted(self._tick, state)
        self._tick += 1
        book = PositionsView(tick, Trigger.TICK, dict(positions), dict(entries or {}), settlements, prices, valuation)
        self.bus.post("risk_monitor", ExposureView(book, 0.0))
        await self.bus.settled()
        return self.log.of(RiskAssessment)[-1]

    def brackets(self, perp: str) -> Sequence[Bracket]:
        """Margin table of a perp."""
        return self._bounds.perps[perp].brackets

    @property
    def codes(self) -> list[str]:
        """Codes of the errors so far."""
        return [error.error_code for error in self.log.of(SystemErrorEvent)]


def loop(health: float) -> dict[str, float]:
    """A loop of 100 weETH whose health factor is `health`: 0.95 x collateral / debt in ETH."""
    return {COLLATERAL: 100.0, DEBT: 0.95 * 100.0 * RATE / health, "wallet:BaseToken:ETH": 0.05}


@pytest.mark.parametrize(
    ("health", "level", "code"),
    [
        (1.05, "low", None),
        (1.0355, "medium", None),
        (1.0299, "high", "RISK-002"),
        (1.0151, "high", "RISK-002"),
        (1.0149, "critical", "RISK-002"),
        (0.99, "critical", "RISK-002"),
    ],
)
async def test_health_of_a_loan_is_graded_by_its_limits(
    runtime: Runtimes, health: float, level: str, code: str | None
) -> None:
    m = Monitor(runtime, "eth_leveraged")
    async with m.bus:
        found = await m.sees(loop(health))
        assert found.risk_level == level
        assert found.health_factor == pytest.approx(health, rel=1e-12)
        assert found.ltv_ratio == pytest.approx(0.95 / health, rel=1e-12)
        assert found.liquidation_threshold == pytest.approx(0.95, rel=1e-12)
        assert found.liquidation_distance["aave"] == pytest.approx(1.0 - 1.0 / health, rel=1e-9)
        assert m.codes[:1] == ([] if code is None else [code])


async def test_a_loan_above_what_its_collateral_allows_is_named(runtime: Runtimes) -> None:
    m = Monitor(
        runtime, "eth_leveraged", "risk_limits.health_factor_reduce=1.01", "risk_limits.health_factor_emergency=1.005"
    )
    async with m.bus:
        found = await m.sees(loop(0.95 / 0.935))
        assert found.risk_level == "high"
        assert found.breaches == ("LTV of aave 0.935 above the limit 0.93",)
        assert m.codes == ["RISK-003"]


async def test_debt_outside_the_category_counts_with_the_parameters_of_the_reserve(runtime: Runtimes) -> None:
    m = Monitor(runtime, "eth_leveraged")
    async with m.bus:
        found = await m.sees({COLLATERAL: 10.0, "aave:debtToken:debtUSDT": 10_000.0})
        assert found.health_factor == pytest.approx(10.0 * 2_000.0 * RATE * 0.80 / 10_000.0)
        assert found.liquidation_threshold == pytest.approx(0.80)


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(market(oracle_usd={"WETH": 2_000.0}), id="unknown"),
        pytest.param(market(stale_prices=("oracle:weETH",)), id="stale"),
    ],
)
async def test_health_that_cannot_be_computed_is_critical(runtime: Runtimes, state: MarketState) -> None:
    m = Monitor(runtime, "eth_leveraged")
    async with m.bus:
        found = await m.sees(loop(1.2), state)
        assert (found.risk_level, found.health_factor) == ("critical", None)
        assert "oracle price of weETH" in found.breaches[0]
        assert m.codes == ["RISK-002"]


async def test_without_debt_the_oracle_does_not_matter(runtime: Runtimes) -> None:
    m = Monitor(runtime, "eth_leveraged")
    async with m.bus:
        found = await m.sees({COLLATERAL: 100.0}, market(oracle_usd={}))
        assert (found.risk_level, found.health_factor, found.ltv_ratio) == ("low", None, None)


@pytest.mark.parametrize(
    ("market_rate", "fresh", "level", "deviation"),
    [
        (RATE, True, "low", 0.0),
        (RATE * 1.06, True, "low", 0.06),
        (RATE * 0.975, True, "medium", -0.025),
        (RATE * 0.969, True, "high", -0.031),
        (RATE, False, "high", 0.0),
        (None, True, "high", None),
    ],
)
async def test_the_peg_of_what_is_held(
    runtime: Runtimes, market_rate: float | None, fresh: bool, level: str, deviation: float | None
) -> None:
    m = Monitor(runtime, "eth_staking_only")
    async with m.bus:
        state = market(staking={"weETH": StakingQuote(RATE, market_rate, fresh, fresh)})
        found = await m.sees({"etherfi:LST:weETH": 10.0}, state)
        assert found.risk_level == level
        assert found.peg_deviation == (None if deviation is None else pytest.approx(deviation, abs=1e-12))
        assert (await m.sees({"wallet:BaseToken:ETH": 10.0}, state)).risk_level == "low", "nothing is held"


async def test_margin_of_a_linear_short(runtime: Runtimes) -> None:
    m = Monitor(runtime, "btc_basis", hedged=True)
    async with m.bus:
        held = {SHORT: -1.0, "binance:Margin:USDT": 16_000.0}
        found = await m.sees(held, entries={SHORT: 39_000.0})
        ratio, maintenance = (16_000.0 - 1_000.0) / 40_000.0, 0.004
        assert found.margin_ratio == {"binance": pytest.approx(ratio)}
        price = 40_000.0 * (1.0 + found.liquidation_distance["binance"])
        assert 16_000.0 - (price - 39_000.0) == pytest.approx(maintenance * price), "there margin is maintenance"


@pytest.mark.parametrize("size", [40_000.0, -40_000.0])
async def test_margin_of_an_inverse_perp_is_in_coins(runtime: Runtimes, size: float) -> None:
    m = Monitor(runtime, "ml_btc_directional_btc_margin")
    async with m.bus:
        entry, cash = 50_000.0, 0.8
        found = await m.sees({COIN: size, "binance:Margin:BTC": cash}, entries={COIN: entry})
        profit = size * (1.0 / entry - 1.0 / 40_000.0)
        ratio = (cash + profit) / (abs(size) / 40_000.0)
        assert found.margin_ratio == {"binance": pytest.approx(ratio)}
        distance = found.liquidation_distance.get("binance")
        if distance is None:
            assert size < 0.0
            return
        price = 40_000.0 * (1.0 - distance if size > 0.0 else 1.0 + distance)
        margin = cash + size * (1.0 / entry - 1.0 / price)
        assert margin == pytest.approx(0.004 * abs(size) / price, rel=1e-9)


@pytest.mark.parametrize(
    ("cash", "level"), [(15_000.0, "low"), (13_000.0, "medium"), (11_000.0, "high"), (8_000.0, "critical")]
)
async def test_margin_is_graded_by_its_limits(runtime: Runtimes, cash: float, level: str) -> None:
    m = Monitor(runtime, "btc_basis")
    async with m.bus:
        found = await m.sees({SHORT: -1.0, "binance:Margin:USDT": cash}, entries={SHORT: 40_000.0})
        assert found.risk_level == level
        assert set(m.codes) <= {"RISK-004"}


async def test_margin_without_a_mark_is_critical(runtime: Runtimes) -> None:
    m = Monitor(runtime, "btc_basis")
    async with m.bus:
        blind = market(perps={"binance:BTC-PERP": PerpQuote(40_000.0, True, None, False, None, None)})
        found = await m.sees({SHORT: -1.0, "binance:Margin:USDT": 20_000.0}, blind, {SHORT: 40_000.0})
        assert (found.risk_level, found.margin_ratio) == ("critical", {})
        assert set(m.codes) == {"RISK-006"}


async def test_a_stale_mark_is_a_warning_of_a_position_that_is_still_valued(runtime: Runtimes) -> None:
    m = Monitor(runtime, "btc_basis")
    async with m.bus:
        stale = market(perps={"binance:BTC-PERP": PerpQuote(40_000.0, False, 40_000.0, False, None, None)})
        found = await m.sees({SHORT: -1.0, "binance:Margin:USDT": 20_000.0}, stale, {SHORT: 40_000.0})
        assert (found.risk_level, found.warnings) == ("medium", ("mark of binance:BTC-PERP is stale",))


async def test_drawdown_counts_from_the_peak_and_flows_are_none(runtime: Runtimes) -> None:
    m = Monitor(runtime, "btc_basis")
    cash = "wallet:BaseToken:USDT"
    paid_in = Settlement(DeltaSource.DEPOSIT, utc_from_ns(START), "ethereum", 1, (PositionDelta(cash, 900.0),))
    async with m.bus:
        drawdowns = [
            (await m.sees({cash: amount}, settlements=flows)).drawdown
            for amount, flows in [(1_000.0, ()), (1_100.0, ()), (1_078.0, ()), (1_978.0, (paid_in,)), (1_879.1, ())]
        ]
        assert drawdowns == pytest.approx([0.0, 0.0, 0.02, 0.02, 1.0 - 0.98 * 0.95])
        last = m.log.of(RiskAssessment)[-1]
        assert last.risk_level == "critical"
        assert m.codes == ["RISK-001"]


async def test_losing_everything_is_a_drawdown_that_no_money_ends(runtime: Runtimes) -> None:
    m = Monitor(runtime, "btc_basis")
    cash, short = "binance:Margin:USDT", {SHORT: 40_000.0}
    paid_in = Settlement(DeltaSource.DEPOSIT, utc_from_ns(START), "x", 1, (PositionDelta(cash, 5_000.0),))
    async with m.bus:
        await m.sees({cash: 1_000.0})
        for amount, flows in [(-100.0, ()), (-200.0, ()), (4_800.0, (paid_in,)), (-50.0, ()), (4_800.0, ()), (0.0, ())]:
            found = await m.sees({cash: amount}, entries=short, settlements=flows)
            assert found.drawdown is not None
            assert found.drawdown >= 1.0
            assert found.risk_level == "critical"


async def test_debt_that_is_left_when_the_owner_took_all_is_a_loss_and_rounding_is_none(runtime: Runtimes) -> None:
    m = Monitor(runtime, "btc_basis")
    cash = "binance:Margin:USDT"
    paid_out = Settlement(DeltaSource.WITHDRAWAL, utc_from_ns(START), "x", 1, (PositionDelta(cash, -1_000.0),))
    async with m.bus:
        await m.sees({cash: 1_000.0})
        assert (await m.sees({}, settlements=(paid_out,))).drawdown == 0.0
        assert (await m.sees({cash: -1e-10})).risk_level == "low"
        assert (await m.sees({cash: -3.0})).drawdown == 1.0
        assert m.codes == ["RISK-001"]


async def test_a_breach_is_reported_once_while_it_lasts(runtime: Runtimes) -> None:
    m = Monitor(runtime, "eth_leveraged")
    async with m.bus:
        for health in (1.025, 1.026, 1.01, 1.012, 1.2, 1.025):
            await m.sees(loop(health))
        errors = [error for error in m.log.of(SystemErrorEvent) if error.error_code == "RISK-002"]
        assert [error.message.split()[4] for error in errors] == ["1.025", "1.01", "1.025"], (
            "when it begins, when it gets worse, and when it comes back"
        )


async def test_what_has_no_price_is_critical_but_for_rewards(runtime: Runtimes) -> None:
    m = Monitor(runtime, "eth_staking_only")
    async with m.bus:
        reward = await m.sees({"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:EIGEN": 5.0})
        assert reward.risk_level == "medium"
        assert reward.warnings == ("wallet:BaseToken:EIGEN has no known price and counts as nothing",)
        assert reward.breaches == ()
        unknown = await m.sees({"wallet:BaseToken:ETH": 1.0, "wallet:BaseToken:BTC": 1.0}, market(prices={"ETH": 2e3}))
        assert unknown.risk_level == "critical"
        assert unknown.drawdown == 0.0, "equity is not known, so it has not fallen"


async def test_a_venue_may_hold_only_its_share(runtime: Runtimes) -> None:
    m = Monitor(runtime, "usdt_market_neutral", "risk_limits.max_venue_share=0.5")
    async with m.bus:
        found = await m.sees({"bybit:BaseToken:USDT": 600.0, "wallet:BaseToken:USDT": 400.0})
        assert found.risk_level == "high"
        assert found.breaches == ("share of equity at bybit 0.6 above the limit 0.5",)
        assert (await m.sees({"bybit:BaseToken:USDT": 300.0, "wallet:BaseToken:USDT": 700.0})).risk_level == "low"


@pytest.mark.parametrize(("size", "level"), [(1.0, "low"), (1.3, "medium"), (-1.6, "high")])
async def test_exposure_to_an_asset_is_a_multiple_of_equity(runtime: Runtimes, size: float, level: str) -> None:
    m = Monitor(runtime, "ml_btc_directional_usdt_margin")
    async with m.bus:
        found = await m.sees({SHORT: size, "binance:Margin:USDT": 40_000.0}, entries={SHORT: 40_000.0})
        assert found.risk_level == level


async def test_the_share_class_itself_is_no_exposure(runtime: Runtimes) -> None:
    m = Monitor(runtime, "ml_btc_directional_btc_margin")
    async with m.bus:
        assert (await m.sees({"binance:Margin:BTC": 2.0})).risk_level == "low"
        found = await m.sees({"binance:Margin:BTC": 1.0, COIN: 1.6 * 40_000.0}, entries={COIN: 40_000.0})
        assert "exposure to BTC 1.6 above the limit 1.5" in found.breaches


async def test_a_liquidation_is_critical_and_reported_each_time(runtime: Runtimes) -> None:
    m = Monitor(runtime, "eth_leveraged")
    taken = (PositionDelta(COLLATERAL, -1.0), PositionDelta(DEBT, -1.0))
    async with m.bus:
        for sequence in (1, 2):
            happened = Settlement(DeltaSource.LIQUIDATION, utc_from_ns(START), "ethereum", sequence, taken)
            found = await m.sees(loop(1.2), settlements=(happened,))
            assert found.risk_level == "critical"
            assert COLLATERAL in found.breaches[0]
        errors = m.log.of(SystemErrorEvent)
        assert [(e.error_code, e.severity) for e in errors] == [("RISK-005", "CRITICAL")] * 2


def liquidated(*deltas: PositionDelta) -> tuple[Settlement, ...]:
    """A liquidation as a venue settles it."""
    return (Settlement(DeltaSource.LIQUIDATION, utc_from_ns(START), "somewhere", 1, deltas),)


async def test_a_liquidated_account_is_logged_at_the_ratio_that_closed_it(runtime: Runtimes) -> None:
    m = Monitor(runtime, "btc_basis")
    cash = PositionDelta("binance:Margin:USDT", -19_000.0)
    async with m.bus:
        alone = await m.sees({}, settlements=liquidated(PositionDelta(SHORT, 2.0, 50_000.0), cash))
        (row,) = [row for row in m.brackets("binance:BTC-PERP") if row.floor <= 100_000.0 < row.cap]
        assert alone.margin_ratio == {"binance": pytest.approx(row.rate - row.amount / 100_000.0)}
        assert m.views.of(RiskView)[-1].margin_ratio == {}, "what decides looks at the book as it is now"
        beside = {COIN: -4_000.0, "binance:Margin:BTC": 1.0}
        both = await m.sees(
            beside, entries={COIN: 40_000.0}, settlements=liquidated(PositionDelta(SHORT, 2.0, 50_000.0))
        )
        assert both.margin_ratio == alone.margin_ratio, "the lowest speaks for the venue"
        assert m.views.of(RiskView)[-1].margin_ratio == {"binance": pytest.approx(10.0)}


async def test_a_liquidated_coin_account_counts_its_notional_in_coins(runtime: Runtimes) -> None:
    m = Monitor(runtime, "ml_btc_directional_btc_margin")
    async with m.bus:
        found = await m.sees({}, settlements=liquidated(PositionDelta(COIN, -40_000.0, 30_000.0)))
        (row,) = [row for row in m.brackets("binance:BTCUSD-PERP") if row.floor <= 40_000.0 < row.cap]
        assert found.margin_ratio == {"binance": pytest.approx(row.rate - row.amount / 40_000.0)}


async def test_a_liquidated_loan_is_logged_with_the_health_before_it(runtime: Runtimes) -> None:
    m = Monitor(runtime, "eth_leveraged")
    before = loop(0.98)
    taken = {COLLATERAL: -60.0, DEBT: -65.0}
    left = {key: amount + taken.get(key, 0.0) for key, amount in before.items()}
    async with m.bus:
        settled = liquidated(*(PositionDelta(key, amount) for key, amount in taken.items()))
        found = await m.sees(left, settlements=settled)
        assert found.health_factor == pytest.approx(0.98)
        assert found.ltv_ratio == pytest.approx(0.95 / 0.98)
        now = m.views.of(RiskView)[-1].health_factor
        assert now == pytest.approx(0.95 * 40.0 * RATE / left[DEBT])
        assert now > 1.0


async def test_a_loan_of_which_nothing_is_left_counts_too(runtime: Runtimes) -> None:
    m = Monitor(runtime, "eth_leveraged")
    before = loop(0.9)
    async with m.bus:
        settled = liquidated(*(PositionDelta(key, -before[key]) for key in (COLLATERAL, DEBT)))
        assert (await m.sees({"wallet:BaseToken:ETH": 0.05}, settlements=settled)).health_factor == pytest.approx(0.9)
        assert m.views.of(RiskView)[-1].health_factor is None


async def test_the_drawdown_goes_on_from_the_peak_of_the_process_before(runtime: Runtimes) -> None:
    """120 were there, 114 were left: with 112 now the fall is 1 - 112 / 120."""
    left = b'{"currency":"USDT","day":19723,"opening":1.0,"equity":114.0,"growth":0.95,"highest":1.0}'
    m = Monitor(runtime, "btc_basis", store=MemoryStore({"losses.json": left}))
    async with m.bus:
        found = await m.sees({"wallet:BaseToken:USDT": 112.0})
        assert found.drawdown == pytest.approx(1.0 - 112.0 / 120.0)
        assert found.risk_level == "critical"
        assert m.codes == ["RISK-001"]


async def test_a_mark_that_stood_still_is_no_peak(runtime: Runtimes) -> None:
    """A tenth of equity that nobody had would be twice the limit of 0.05."""
    m = Monitor(runtime, "btc_basis", hedged=True)
    held = {"binance:BaseToken:BTC": 1.0, "bybit:BaseToken:USDT": 60_000.0, "bybit:PerpPosition:BTC-PERP": -1.0}
    entries = {"bybit:PerpPosition:BTC-PERP": 40_000.0}

    def at(spot: float, mark: float, *, fresh: bool = True) -> MarketState:
        quote = PerpQuote(mark, fresh, mark, fresh, mark, mark)
        return market(prices={"USDT": 1.0, "BTC": spot, "ETH": 2_000.0}, perps={"bybit:BTC-PERP": quote})

    async with m.bus:
        for state in (at(40_000.0, 40_000.0), at(50_000.0, 40_000.0, fresh=False), at(50_000.0, 50_000.0)):
            found = await m.sees(held, state, entries)
            assert found.drawdown == pytest.approx(0.0)
        assert m.codes == []
