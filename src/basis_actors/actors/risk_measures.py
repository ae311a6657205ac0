"""Defines how the risks of a ledger are measured: margin of each account, health of each loan, pegs, shares.

Every measure is a function of one view of the book and the terms of the mode. What cannot be computed is a breach at
the gravest level that its limit has; only a price that is old, of something that is still valued, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import msgspec

from basis_actors.actors.risk_findings import Findings
from basis_actors.config import RiskLimits
from basis_actors.finance.keys import LedgerKey, parse_key
from basis_actors.finance.lending import health_factor, loan_to_value
from basis_actors.finance.loops import (
    liquidation_distance_inverse,
    liquidation_distance_lending,
    liquidation_distance_perp,
)
from basis_actors.finance.margin import Bracket, maintenance_margin, margin_ratio
from basis_actors.finance.perps import inverse_upnl, linear_upnl
from basis_actors.messages.book import PositionsView, RiskLevel
from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import MarketState

__all__ = [
    "Accounts",
    "CollateralTerms",
    "EmodeTerms",
    "LoanTerms",
    "Loans",
    "PerpTerms",
    "loan_before_liquidation",
    "measure_loans",
    "ratio_at_liquidation",
]


class PerpTerms(msgspec.Struct, frozen=True):
    """What margins a perp."""

    cash_key: str
    """Position whose cash margins it."""
    brackets: Sequence[Bracket]
    """Maintenance by notional: USDT, and USD for an inverse perp."""


class CollateralTerms(msgspec.Struct, frozen=True, gc=False):
    """What collateral counts for, as fractions of its value."""

    ltv: float
    """Debt that it allows at most."""
    threshold: float
    """Debt at which it is liquidated."""


class EmodeTerms(msgspec.Struct, frozen=True):
    """A category of correlated assets; it applies to its collateral while nothing outside `debt` is owed."""

    terms: CollateralTerms
    collateral: frozenset[str]
    debt: frozenset[str]


class LoanTerms(msgspec.Struct, frozen=True):
    """A lending pool, by underlying token."""

    reserves: Mapping[str, CollateralTerms]
    """Only tokens that count as collateral."""
    emode: tuple[EmodeTerms, ...]

    def of(self, token: str, owed: Iterable[str]) -> CollateralTerms | None:
        """What `token` counts for against debt in `owed`; None for what is no collateral."""
        if token not in self.reserves:
            return None
        for category in self.emode:
            if token in category.collateral and category.debt.issuperset(owed):
                return category.terms
        return self.reserves[token]


class Accounts:
    """Margin ratio, maintenance ratio and distance to liquidation by venue with an open perp.

    Where a venue keeps several margin accounts, the one closest to liquidation speaks for it.
    """

    def __init__(self) -> None:
        self.ratios: dict[str, float] = {}
        """(cash + unrealised PnL) / notional."""
        self.maintenance: dict[str, float] = {}
        """Maintenance margin / notional."""
        self.distances: dict[str, float] = {}
        """Move of the mark against the position that liquidates it; absent where none does."""

    def measure(
        self,
        book: PositionsView,
        perps: Iterable[LedgerKey],
        terms: Mapping[str, PerpTerms],
        limits: RiskLimits,
        findings: Findings,
    ) -> None:
        """Measure every account of `perps`, the open positions, and compare it with the limits.

        Amounts of one account are in the currency of its margin: an inverse perp counts |N| / mark.
        """
        sums: dict[str, _Account] = {}
        positions, quotes = book.positions, book.tick.market.perps
        for info in perps:
            assert info.perp is not None
            quote, known = quotes.get(info.perp), terms.get(info.perp)
            mark = None if quote is None else quote.mark
            if quote is None or mark is None or known is None:
                why = "its mark is not known" if known is not None else "it has no margin table"
                findings.breach(RiskLevel.CRITICAL, "RISK-006", f"margin of {info.perp}", f"cannot be computed: {why}")
                continue
            if not quote.mark_fresh:
                findings.warn(f"mark of {info.perp} is stale")
            account = sums.get(known.cash_key)
            if account is None:
                account = sums[known.cash_key] = _Account(info.venue)
            account.add(info, positions[info.key], book.entries[info.key], mark, known.brackets)
        for cash_key, account in sums.items():
            self._take(account, positions.get(cash_key, 0.0), limits, findings)

    def _take(self, account: _Account, cash: float, limits: RiskLimits, findings: Findings) -> None:
        venue = account.venue
        ratio = margin_ratio(cash, account.profit, account.notional)
        floor = account.required / account.notional
        _grade_margin(venue, ratio, floor, limits, findings)
        if venue in self.ratios and self.ratios[venue] - self.maintenance[venue] <= ratio - floor:
            return
        self.ratios[venue], self.maintenance[venue] = ratio, floor
        far = liquidation_distance_inverse if account.inverse else liquidation_distance_perp
        distance = far(account.net, ratio, floor)
        if isfinite(distance):
            self.distances[venue] = distance
        else:
            self.distances.pop(venue, None)


def _grade_margin(venue: str, ratio: float, maintenance: float, limits: RiskLimits, findings: Findings) -> None:
    emergency, least = limits.margin_emergency_multiple * maintenance, limits.margin_ratio_exit_half
    if emergency < least:
        emergency = least
    reduce = limits.margin_ratio_reduce
    if ratio > reduce * (1.0 + findings.warning_share) and ratio > emergency:
        return
    subject = f"margin ratio of {venue}"
    if ratio <= emergency:
        findings.breach(RiskLevel.CRITICAL, "RISK-004", subject, f"{ratio:.4f} at or below {emergency:.4g}")
    elif ratio <= reduce:
        findings.breach(RiskLevel.HIGH, "RISK-004", subject, f"{ratio:.4f} at or below {reduce:.4g}")
    else:
        findings.warn(f"{subject} {ratio:.4f} close to the limit {reduce:g}")


class _Account:
    """The perps that one cash balance margins, in the currency of that balance."""

    __slots__ = ("inverse", "net", "notional", "profit", "required", "venue")

    def __init__(self, venue: str) -> None:
        self.venue = venue
        self.inverse = False
        self.net = 0.0
        """Signed notional: which way hurts."""
        self.notional = 0.0
        self.required = 0.0
        self.profit = 0.0

    def add(self, info: LedgerKey, size: float, entry: float, mark: float, brackets: Sequence[Bracket]) -> None:
        if info.inverse:
            self.inverse = True
            worth = abs(size) / mark
            required = maintenance_margin(abs(size), brackets) / mark
            self.profit += inverse_upnl(size, entry, mark)
        else:
            worth = abs(size) * mark
            required = maintenance_margin(worth, brackets)
            self.profit += linear_upnl(size, entry, mark)
        self.net += worth if size > 0.0 else -worth
        self.notional += worth
        self.required += required


class Loans(msgspec.Struct, frozen=True):
    """The loan with the lowest health factor, and how far each is from liquidation."""

    health: float | None = None
    ltv: float | None = None
    distances: Mapping[str, float] = {}
    """Fall of the collateral against the debt that makes health 1, by ledger name of the pool."""


NO_LOANS = Loans()


def measure_loans(
    book: PositionsView,
    pools: Mapping[str, Sequence[LedgerKey]],
    terms: Mapping[str, LoanTerms],
    limits: RiskLimits,
    findings: Findings,
) -> Loans:
    """Health and LTV of the loans at oracle prices. `pools` has the aTokens and debts that are held, by ledger name.

    Health factor = sum of collateral value x liquidation threshold / debt value; LTV = debt / collateral (Aave v3).
    An oracle price that is unknown, or older than its limit, makes them unknown, which is critical.
    """
    found = NO_LOANS
    distances: dict[str, float] = {}
    market = book.tick.market
    for pool, held in pools.items():
        owed = [info.token for info in held if info.kind == "debtToken"]
        if not owed:
            continue
        unknown = _unknown(market, pool, held, terms)
        if unknown is not None:
            findings.breach(
                RiskLevel.CRITICAL, "RISK-002", f"health factor of {pool}", f"cannot be computed: {unknown}"
            )
            continue
        health, ltv, allowed = _health(market, book.positions, held, owed, terms[pool])
        if found.health is None or health < found.health:
            found = Loans(health, ltv)
        distances[pool] = liquidation_distance_lending(health) if health > 0.0 else -1.0
        _grade_loan(pool, health, ltv, allowed, limits, findings)
    return found if found.health is None else Loans(found.health, found.ltv, distances)


def _unknown(market: MarketState, pool: str, held: Sequence[LedgerKey], terms: Mapping[str, LoanTerms]) -> str | None:
    """What keeps the health of a pool from being computed; None when nothing does."""
    if pool not in terms:
        return "the pool is not configured"
    oracle, stale = market.oracle_usd, market.stale_prices
    for info in held:
        token = info.token
        if token not in oracle:
            return f"the oracle price of {token} is not known"
        if stale and f"oracle:{token}" in stale:
            return f"the oracle price of {token} is older than its staleness limit"
    return None


def _health(
    market: MarketState,
    amounts: Mapping[str, float],
    held: Sequence[LedgerKey],
    owed: Sequence[str],
    terms: LoanTerms,
) -> tuple[float, float, float]:
    """Health factor, LTV, and the LTV that the collateral allows."""
    oracle = market.oracle_usd
    debt = collateral = allowed = 0.0
    pledged: list[tuple[float, float]] = []
    for info in held:
        token = info.token
        value = amounts[info.key] * oracle[token]
        if info.kind == "debtToken":
            debt += value
        elif (counts := terms.of(token, owed)) is not None:
            pledged.append((value, counts.threshold))
            collateral += value
            allowed += value * counts.ltv
    return health_factor(pledged, debt), loan_to_value(collateral, debt), allowed / collateral if collateral else 0.0


def _grade_loan(pool: str, health: float, ltv: float, allowed: float, limits: RiskLimits, findings: Findings) -> None:
    emergency, reduce = limits.health_factor_emergency, limits.health_factor_reduce
    if emergency is None or reduce is None:
        text = "has no limit: risk_limits.health_factor_reduce and health_factor_emergency are not set"
        findings.breach(RiskLevel.CRITICAL, "RISK-006", f"health factor of {pool}", text)
        return
    if health - 1.0 <= (reduce - 1.0) * (1.0 + findings.warning_share):
        subject = f"health factor of {pool}"
        if health < emergency:
            findings.breach(RiskLevel.CRITICAL, "RISK-002", subject, f"{health:.6g} below {emergency:g}")
        elif health < reduce:
            findings.breach(RiskLevel.HIGH, "RISK-002", subject, f"{health:.6g} below {reduce:g}")
        else:
            findings.warn(f"{subject} {health:.4g} close to the limit {reduce:g}")
    if ltv > allowed:
        findings.breach(RiskLevel.HIGH, "RISK-003", f"LTV of {pool}", f"{ltv:.6g} above the limit {allowed:.6g}")


def ratio_at_liquidation(liquidation: Settlement, terms: Mapping[str, PerpTerms]) -> tuple[str, float] | None:
    """Venue and margin ratio at which an account was liquidated: its maintenance ratio at the prices of the closes.

    An account is closed when its margin ratio has fallen to that, so the view after it shows nothing of it. None for
    the liquidation of a loan.
    """
    venue, notional, required = "", 0.0, 0.0
    for delta in liquidation.deltas:
        info = parse_key(delta.position_key)
        known = None if info.perp is None else terms.get(info.perp)
        if info.contract is None or known is None or not delta.price:
            continue
        size = info.contract.notional(delta.delta_amount, delta.price)
        per_quote = info.contract.per_quote(delta.price)
        venue = info.venue
        notional += size * per_quote
        required += maintenance_margin(size, known.brackets) * per_quote
    return (venue, required / notional) if notional else None


def loan_before_liquidation(
    book: PositionsView, liquidations: Iterable[Settlement], terms: Mapping[str, LoanTerms]
) -> Loans:
    """The loan with the lowest health factor as it was before liquidators took from it, at the oracle prices of now."""
    amounts = dict(book.positions)
    pools: dict[str, list[LedgerKey]] = {}
    for liquidation in liquidations:
        for delta in liquidation.deltas:
            info = parse_key(delta.position_key)
            if info.kind in ("aToken", "debtToken"):
                amounts[info.key] = amounts.get(info.key, 0.0) - delta.delta_amount
                pools[info.venue] = []
    for key, amount in amounts.items():
        info = parse_key(key)
        if info.venue in pools and info.kind in ("aToken", "debtToken") and amount > 0.0:
            pools[info.venue].append(info)
    found = NO_LOANS
    market = book.tick.market
    for pool, held in pools.items():
        owed = [info.token for info in held if info.kind == "debtToken"]
        if not owed or _unknown(market, pool, held, terms) is not None:
            continue
        health, ltv, _ = _health(market, amounts, held, owed, terms[pool])
        if found.health is None or health < found.health:
            found = Loans(health, ltv)
    return found
