"""Defines how the risks of a ledger are measured: margin of each account, health of each loan, pegs, shares.

Every measure is a function of one view of the book and the terms of the mode. What cannot be computed is a breach at
the gravest level that its limit has; only a price that is old, of something that is still valued, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf

import msgspec

from basis_actors.actors.risk_findings import Findings
from basis_actors.finance.keys import LedgerKey, parse_key
from basis_actors.finance.lending import health_factor, loan_to_value
from basis_actors.finance.loops import (
    liquidation_distance_inverse,
    liquidation_distance_lending,
    liquidation_distance_perp,
)
from basis_actors.finance.margin import Bracket, maintenance_margin
from basis_actors.finance.perps import inverse_upnl, linear_upnl
from basis_actors.messages.book import PositionsView, RiskLevel
from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import MarketState

__all__ = [
    "Accounts",
    "CollateralTerms",
    "EmodeTerms",
    "Limits",
    "Loan",
    "LoanTerms",
    "Loans",
    "MarginAccount",
    "PerpTerms",
    "loan_before_liquidation",
    "loan_of",
    "margin_accounts",
    "measure_accounts",
    "measure_loans",
    "ratio_at_liquidation",
]


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What a book is measured against: the `RiskLimits` of the mode. Fields of that model are slow to read."""

    margin_ratio_reduce: float
    margin_ratio_exit_half: float
    margin_emergency_multiple: float
    max_delta_drift: float
    max_drawdown: float
    health_factor_reduce: float | None
    health_factor_emergency: float | None
    max_peg_deviation: float | None
    max_venue_share: float | None
    max_asset_exposure: float | None
    warning_share: float


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


class MarginAccount(msgspec.Struct, frozen=True):
    """The perps that one cash balance margins: linear ones, or inverse ones of one asset."""

    venue: str
    cash_key: str
    inverse: bool
    perps: list[tuple[str, str, Sequence[Bracket]]]
    """Name, position key and margin table of each."""


def margin_accounts(
    perps: Iterable[LedgerKey], terms: Mapping[str, PerpTerms]
) -> tuple[list[MarginAccount], list[str]]:
    """The accounts of `perps`, the open positions, and the names of those without a margin table."""
    accounts: dict[str, MarginAccount] = {}
    unknown: list[str] = []
    for info in perps:
        assert info.perp is not None
        known = terms.get(info.perp)
        if known is None:
            unknown.append(info.perp)
            continue
        account = MarginAccount(info.venue, known.cash_key, info.inverse, [])
        accounts.setdefault(known.cash_key, account).perps.append((info.perp, info.key, known.brackets))
    return list(accounts.values()), unknown


class Accounts(msgspec.Struct, frozen=True):
    """Margin ratio, maintenance ratio and distance to liquidation by venue with an open perp.

    Where a venue keeps several margin accounts, the one closest to liquidation speaks for it.
    """

    ratios: dict[str, float]
    """(cash + unrealised PnL) / notional."""
    maintenance: dict[str, float]
    """Maintenance margin / notional."""
    distances: dict[str, float]
    """Move of the mark against the position that liquidates it; absent where none does."""


def measure_accounts(
    book: PositionsView, accounts: Iterable[MarginAccount], limits: Limits, findings: Findings
) -> Accounts:
    """Measure `accounts`, and compare each with the limits.

    Amounts of one account are in the currency of its margin: an inverse perp counts |N| / mark.
    """
    positions, entries, quotes = book.positions, book.entries, book.tick.market.perps
    watched = limits.margin_ratio_reduce * (1.0 + findings.warning_share)
    multiple = limits.margin_emergency_multiple
    ratios: dict[str, float] = {}
    maintenance: dict[str, float] = {}
    distances: dict[str, float] = {}
    for account in accounts:
        net = notional = required = profit = 0.0
        for perp, key, brackets in account.perps:
            quote = quotes.get(perp)
            if quote is None or quote.mark is None:
                text = "cannot be computed: its mark is not known"
                findings.breach(RiskLevel.CRITICAL, "RISK-006", f"margin of {perp}", text)
                continue
            if not quote.mark_fresh:
                findings.warn(f"mark of {perp} is stale")
            size, mark = positions[key], quote.mark
            if account.inverse:
                worth = abs(size) / mark
                required += maintenance_margin(abs(size), brackets) / mark
                profit += inverse_upnl(size, entries[key], mark)
            else:
                worth = abs(size) * mark
                required += maintenance_margin(worth, brackets)
                profit += linear_upnl(size, entries[key], mark)
            notional += worth
            net += worth if size > 0.0 else -worth
        if not notional:  # no mark of it is known
            continue
        venue = account.venue
        ratio = (positions.get(account.cash_key, 0.0) + profit) / notional
        floor = required / notional
        if ratio <= watched or ratio <= multiple * floor:
            _grade_margin(venue, ratio, floor, limits, findings)
        if venue in ratios and ratios[venue] - maintenance[venue] <= ratio - floor:
            continue
        ratios[venue], maintenance[venue] = ratio, floor
        far = liquidation_distance_inverse if account.inverse else liquidation_distance_perp
        distance = far(net, ratio, floor)
        if distance < inf:
            distances[venue] = distance
        else:
            distances.pop(venue, None)
    return Accounts(ratios, maintenance, distances)


def _grade_margin(venue: str, ratio: float, maintenance: float, limits: Limits, findings: Findings) -> None:
    """For a ratio that is close to a limit or below."""
    reduce, subject = limits.margin_ratio_reduce, f"margin ratio of {venue}"
    emergency = max(limits.margin_emergency_multiple * maintenance, limits.margin_ratio_exit_half)
    if ratio <= emergency:
        findings.breach(RiskLevel.CRITICAL, "RISK-004", subject, f"{ratio:.4f} at or below {emergency:.4g}")
    elif ratio <= reduce:
        findings.breach(RiskLevel.HIGH, "RISK-004", subject, f"{ratio:.4f} at or below {reduce:.4g}")
    else:
        findings.warn(f"{subject} {ratio:.4f} close to the limit {reduce:g}")


class Loan(msgspec.Struct, frozen=True):
    """What is owed to a pool, and what secures it on the terms that hold for this debt."""

    pool: str
    """Ledger name."""
    held: Sequence[LedgerKey]
    """Every aToken and debt of the pool."""
    owed: list[LedgerKey]
    pledged: list[tuple[LedgerKey, CollateralTerms]] | None
    """None for a pool that is not configured."""


def loan_of(pool: str, held: Sequence[LedgerKey], terms: Mapping[str, LoanTerms]) -> Loan | None:
    """The loan that `held`, the aTokens and debts of a pool, are; None where nothing is owed."""
    owed = [info for info in held if info.kind == "debtToken"]
    if not owed:
        return None
    if pool not in terms:
        return Loan(pool, held, owed, None)
    tokens = [info.token for info in owed]
    pledged = [
        (info, counts)
        for info in held
        if info.kind != "debtToken" and (counts := terms[pool].of(info.token, tokens)) is not None
    ]
    return Loan(pool, held, owed, pledged)


class Loans(msgspec.Struct, frozen=True):
    """The loan with the lowest health factor, and how far each is from liquidation."""

    health: float | None = None
    ltv: float | None = None
    distances: Mapping[str, float] = {}
    """Fall of the collateral against the debt that makes health 1, by ledger name of the pool."""


NO_LOANS = Loans()


def measure_loans(book: PositionsView, loans: Iterable[Loan], limits: Limits, findings: Findings) -> Loans:
    """Health and LTV of `loans` at oracle prices.

    Health factor = sum of collateral value x liquidation threshold / debt value; LTV = debt / collateral (Aave v3).
    An oracle price that is unknown, or older than its limit, makes them unknown, which is critical.
    """
    found = NO_LOANS
    distances: dict[str, float] = {}
    market = book.tick.market
    for loan in loans:
        unknown = _unknown(market, loan)
        if unknown is not None:
            findings.breach(
                RiskLevel.CRITICAL, "RISK-002", f"health factor of {loan.pool}", f"cannot be computed: {unknown}"
            )
            continue
        health, ltv, allowed = _health(market.oracle_usd, book.positions, loan)
        if found.health is None or health < found.health:
            found = Loans(health, ltv, distances)
        distances[loan.pool] = liquidation_distance_lending(health) if health > 0.0 else -1.0
        _grade_loan(loan.pool, health, ltv, allowed, limits, findings)
    return found


def _unknown(market: MarketState, loan: Loan) -> str | None:
    """What keeps the health of a loan from being computed; None when nothing does."""
    if loan.pledged is None:
        return "the pool is not configured"
    oracle, stale = market.oracle_usd, market.stale_prices
    for info in loan.held:
        token = info.token
        if token not in oracle:
            return f"the oracle price of {token} is not known"
        if stale and f"oracle:{token}" in stale:
            return f"the oracle price of {token} is older than its staleness limit"
    return None


def _health(oracle: Mapping[str, float], amounts: Mapping[str, float], loan: Loan) -> tuple[float, float, float]:
    """Health factor, LTV, and the LTV that the collateral allows."""
    debt = collateral = allowed = 0.0
    for info in loan.owed:
        debt += amounts[info.key] * oracle[info.token]
    pledged: list[tuple[float, float]] = []
    for info, counts in loan.pledged or ():
        value = amounts[info.key] * oracle[info.token]
        pledged.append((value, counts.threshold))
        collateral += value
        allowed += value * counts.ltv
    return health_factor(pledged, debt), loan_to_value(collateral, debt), allowed / collateral if collateral else 0.0


def _grade_loan(pool: str, health: float, ltv: float, allowed: float, limits: Limits, findings: Findings) -> None:
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
        loan = loan_of(pool, held, terms)
        if loan is None or _unknown(market, loan) is not None:
            continue
        health, ltv, _ = _health(market.oracle_usd, amounts, loan)
        if found.health is None or health < found.health:
            found = Loans(health, ltv)
    return found
