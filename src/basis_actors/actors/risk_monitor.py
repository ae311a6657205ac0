"""Defines the actor that measures the book against its limits. What cannot be computed counts as broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from basis_actors.actors.loss_marks import growth_so_far
from basis_actors.actors.reporting import error_event
from basis_actors.actors.risk_findings import RANKS, Findings
from basis_actors.actors.risk_measures import (
    NO_LOANS,
    Accounts,
    Limits,
    Loan,
    Loans,
    LoanTerms,
    MarginAccount,
    PerpTerms,
    loan_before_liquidation,
    loan_of,
    margin_accounts,
    measure_accounts,
    measure_loans,
    ratio_at_liquidation,
)
from basis_actors.bus import Actor, on
from basis_actors.finance.keys import STABLE, LedgerKey, parse_key
from basis_actors.messages.book import ExposureView, PositionsView, RiskLevel, RiskView
from basis_actors.messages.events import RiskAssessment
from basis_actors.messages.execution import DeltaSource, Settlement
from basis_actors.ports import StateStore

__all__ = ["RiskBounds", "RiskMonitor"]

_OWN_PLACES: Final = ("wallet", "transit", "gas")
"""First parts of position keys that are nobody's promise: what stands there is not exposed to a venue."""
_LIQUIDATION: Final = DeltaSource.LIQUIDATION
_HIGH: Final = RiskLevel.HIGH
_CRITICAL: Final = RiskLevel.CRITICAL
"""Members of an enum are slow to look up."""
_LOAN_KINDS: Final = ("aToken", "debtToken")


class RiskBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a mode, and the terms of the accounts they apply to."""

    limits: Limits
    currency: str
    """Of the share class."""
    perps: Mapping[str, PerpTerms]
    """By perp (`binance:BTC-PERP`)."""
    pools: Mapping[str, LoanTerms]
    """By the name that position keys of the pool begin with (`aave`)."""
    delta_is_limited: bool
    """Whether the mode is meant to be delta neutral."""


class _Held(msgspec.Struct, frozen=True):
    """The positions that are held, by what risk they carry."""

    accounts: list[MarginAccount]
    unmargined: list[str]
    """Perps that have no margin table."""
    loans: list[Loan]
    reserves: list[str]
    lsts: list[str]
    venues: dict[str, list[str]]
    """Keys of what is exposed to each exchange and protocol."""


class RiskMonitor(Actor):
    """Assesses each view of the exposures, and reports a breach as an error once, when it begins or gets worse.

    The drawdown goes on from the peak that the risk gate of the last process left in `store`.
    """

    def __init__(self, bounds: RiskBounds, store: StateStore | None = None) -> None:
        """Raises BasisError ENGINE-001 for a peak of an earlier process that cannot be read."""
        super().__init__("risk_monitor")
        self._bounds = bounds
        self._growth = growth_so_far(store, bounds.currency)
        self._episodes: dict[tuple[str, str], RiskLevel] = {}
        self._keys: tuple[str, ...] = ()
        self._held = _held((), bounds)
        """What is behind `_keys`. It is worked out anew when they change, which they do with trades only."""

    @on(ExposureView)
    def assess(self, exposure: ExposureView) -> None:
        """Compare the book with every limit."""
        book, bounds = exposure.book, self._bounds
        limits = bounds.limits
        findings = Findings(limits.warning_share)
        keys = tuple(book.positions)
        if keys != self._keys:
            self._keys, self._held = keys, _held(keys, bounds)
        held = self._held
        for perp in held.unmargined:
            text = "cannot be computed: it has no margin table"
            findings.breach(_CRITICAL, "RISK-006", f"margin of {perp}", text)
        accounts = measure_accounts(book, held.accounts, limits, findings)
        loans = measure_loans(book, held.loans, limits, findings) if held.loans else NO_LOANS
        pegs = _pegs(book, held.lsts, limits, findings) if held.lsts else {}
        liquidations: list[Settlement] = []
        for settlement in book.settlements:
            if settlement.source is _LIQUIDATION:
                liquidations.append(settlement)
                _report_liquidation(settlement, findings)
        drawdown = self._drawdown(book, findings)
        if bounds.delta_is_limited:
            self._check_delta(exposure, findings)
        _check_prices(book, held, findings)
        if limits.max_venue_share is not None:
            _check_venues(book, held, limits.max_venue_share, findings)
        if limits.max_asset_exposure is not None:
            self._check_assets(book, limits.max_asset_exposure, findings)
        self._tell(exposure, findings, accounts, loans, pegs, drawdown, liquidations)

    def _tell(
        self,
        exposure: ExposureView,
        findings: Findings,
        accounts: Accounts,
        loans: Loans,
        pegs: dict[str, float],
        drawdown: float,
        liquidations: Sequence[Settlement],
    ) -> None:
        """Log the assessment, report what has begun, and hand the view on.

        The log has the ratios at which accounts were liquidated, the view those of the book as it is after that.
        """
        market, ratios, lowest = exposure.book.tick.market, accounts.ratios, loans
        if liquidations:
            ratios, lowest = self._at_worst(exposure.book, liquidations, ratios, loans)
        health, ltv = lowest.health, lowest.ltv
        breaches = tuple([breach.text for breach in findings.breaches]) if findings.breaches else ()
        distances = {**accounts.distances, **loans.distances} if loans.distances else accounts.distances
        self.log(
            RiskAssessment(
                market.timestamp,
                findings.level,
                ratios,
                tuple(findings.warnings),
                breaches,
                exposure.book.trigger,
                health,
                ltv,
                None if health is None or ltv is None else health * ltv,
                min(pegs.values()) if pegs else None,
                drawdown,
                distances,
            )
        )
        if findings.breaches or self._episodes:
            self._follow_episodes(exposure, findings)
        gravest = findings.gravest if breaches else None
        self.publish(
            RiskView(
                exposure,
                findings.level,
                accounts.ratios,
                accounts.maintenance,
                loans.health,
                loans.ltv,
                breaches,
                None if gravest is None else gravest.code,
                distances,
                pegs,
                drawdown,
            )
        )

    def _at_worst(
        self, book: PositionsView, liquidations: Sequence[Settlement], ratios: Mapping[str, float], loans: Loans
    ) -> tuple[dict[str, float], Loans]:
        """Margin ratios and loan, each as it was when it was liquidated where that is lower than it is now."""
        lowest = dict(ratios)
        for liquidation in liquidations:
            closed = ratio_at_liquidation(liquidation, self._bounds.perps)
            if closed is not None:
                venue, ratio = closed
                lowest[venue] = min(ratio, lowest.get(venue, ratio))
        before = loan_before_liquidation(book, liquidations, self._bounds.pools)
        if before.health is None or (loans.health is not None and loans.health <= before.health):
            return lowest, loans
        return lowest, before

    def _follow_episodes(self, exposure: ExposureView, findings: Findings) -> None:
        before, self._episodes = self._episodes, {}
        for breach in findings.breaches:
            episode = (breach.code, breach.subject)
            self._episodes[episode] = breach.level
            went_on = episode in before and RANKS[breach.level] <= RANKS[before[episode]]
            if not went_on or breach.code == "RISK-005":
                self.log(error_event(exposure.book.tick.market.timestamp, self.name, breach.code, breach.text))

    def _drawdown(self, book: PositionsView, findings: Findings) -> float:
        """Fall from the peak. While a part of the book has no price the last one is kept: equity is not known."""
        self._growth.take(book)
        drawdown = self._growth.drawdown
        if self._growth.lost:
            text = f"{drawdown:.6g}: equity fell to {book.valuation.equity:.6g}, all that was paid in is lost"
            findings.breach(_CRITICAL, "RISK-001", "drawdown", text)
        else:
            findings.at_most(drawdown, self._bounds.limits.max_drawdown, "drawdown", _CRITICAL)
        return drawdown

    def _check_delta(self, exposure: ExposureView, findings: Findings) -> None:
        limit, equity = self._bounds.limits.max_delta_drift, exposure.book.valuation.equity
        delta = exposure.net_delta
        if delta is None:
            findings.breach(_HIGH, "RISK-006", "net delta", "cannot be computed: a price is not known")
        elif delta and abs(delta) > limit * (1.0 - findings.warning_share) * equity:
            if abs(delta) > limit * equity:
                text = f"{delta:.6g} above {limit:g} of equity {equity:.6g}"
                findings.breach(_HIGH, "RISK-001", "net delta", text)
            else:
                findings.warn(f"net delta {delta:.6g} close to {limit:g} of equity {equity:.6g}")

    def _check_assets(self, book: PositionsView, limit: float, findings: Findings) -> None:
        """Exposure to each asset beyond what holding the share class itself is; the stable currency is none."""
        equity, currency = book.valuation.equity, self._bounds.currency
        for asset, quantity in book.valuation.deltas.items():
            price = book.prices.get(asset)
            if asset == STABLE or not quantity or price is None:
                continue
            exposed = abs(quantity - equity if asset == currency else quantity * price)
            subject = f"exposure to {asset}"
            if equity > 0.0:
                findings.at_most(exposed / equity, limit, subject, _HIGH)
            else:
                findings.breach(_HIGH, "RISK-006", subject, f"of {exposed:.6g} faces an equity of {equity:.6g}")


def _held(keys: tuple[str, ...], bounds: RiskBounds) -> _Held:
    """Sort positions by what risk they carry, and give each the terms that hold for it."""
    perps: list[LedgerKey] = []
    pools: dict[str, list[LedgerKey]] = {}
    lsts: dict[str, None] = {}
    venues: dict[str, list[str]] = {}
    for info in map(parse_key, keys):
        if info.venue not in _OWN_PLACES:
            venues.setdefault(info.venue, []).append(info.key)
        if info.perp is not None:
            perps.append(info)
            continue
        if info.kind in _LOAN_KINDS:
            pools.setdefault(info.venue, []).append(info)
        if info.lst is not None:
            lsts[info.lst] = None
    accounts, unmargined = margin_accounts(perps, bounds.perps)
    loans = [loan for pool, held in pools.items() if (loan := loan_of(pool, held, bounds.pools)) is not None]
    reserves = [info.reserve for held in pools.values() for info in held if info.reserve is not None]
    return _Held(accounts, unmargined, loans, reserves, list(lsts), venues)


def _pegs(book: PositionsView, lsts: Iterable[str], limits: Limits, findings: Findings) -> dict[str, float]:
    """market_rate / eth_per_lst - 1 of each staking token that is held. Without a fresh market rate it is broken."""
    pegs: dict[str, float] = {}
    limit, staking = limits.max_peg_deviation, book.tick.market.staking
    for lst in lsts:
        quote = staking.get(lst)
        if quote is None or quote.market_rate is None:
            if limit is not None:
                text = "cannot be computed: its market rate is not known"
                findings.breach(_HIGH, "RISK-006", f"peg of {lst}", text)
            continue
        deviation = pegs[lst] = quote.market_rate / quote.eth_per_lst - 1.0
        if limit is None:
            continue
        if not quote.fresh:
            text = (
                f"is not known: its rates are older than their staleness limit, the last deviation was {deviation:.4g}"
            )
            findings.breach(_HIGH, "RISK-006", f"peg of {lst}", text)
        if deviation < 0.0:
            findings.at_most(-deviation, limit, f"discount of {lst}", _HIGH)
    return pegs


def _check_prices(book: PositionsView, held: _Held, findings: Findings) -> None:
    """Old values are warned of; a position without any value leaves equity, and so every limit, unknown."""
    market = book.tick.market
    for asset in market.stale_prices:
        if book.valuation.deltas.get(asset):
            findings.warn(f"price of {asset} is stale")
    for name in held.reserves:
        reserve = market.reserves.get(name)
        if reserve is not None and not reserve.fresh:
            findings.warn(f"reserve {name} is stale")
    for key in book.valuation.unpriced_rewards:
        findings.warn(f"{key} has no known price and counts as nothing")
    for key in book.valuation.unpriced:
        text = "is not known, so no limit on it can be checked"
        findings.breach(_CRITICAL, "RISK-006", f"price of {key}", text)


def _check_venues(book: PositionsView, held: _Held, limit: float, findings: Findings) -> None:
    """What stands at each exchange and protocol, unrealised PnL included, as a fraction of equity."""
    equity, values = book.valuation.equity, book.valuation.values
    unremarkable = max(0.0, limit * (1.0 - findings.warning_share) * equity)
    for venue, keys in held.venues.items():
        value = 0.0
        for key in keys:
            value += values[key]
        if value <= unremarkable:
            continue
        subject = f"share of equity at {venue}"
        if equity > 0.0:
            findings.at_most(value / equity, limit, subject, _HIGH)
        else:
            findings.breach(_HIGH, "RISK-006", subject, f"is {value:.6g} of an equity of {equity:.6g}")


def _report_liquidation(settlement: Settlement, findings: Findings) -> None:
    keys = [delta.position_key for delta in settlement.deltas]
    taken = [key for key in keys if parse_key(key).perp is not None or parse_key(key).kind in _LOAN_KINDS] or keys
    findings.breach(_CRITICAL, "RISK-005", f"account on {settlement.domain}", f"was liquidated: {', '.join(taken)}")
