"""Defines the actor that measures the book against its limits. What cannot be computed counts as broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from basis_actors.bus import Actor, on
from basis_actors.finance.keys import parse_key
from basis_actors.finance.margin import Bracket, maintenance_margin, margin_ratio
from basis_actors.messages.book import ExposureView, PositionsView, RiskLevel, RiskView
from basis_actors.messages.events import RiskAssessment
from basis_actors.messages.execution import DeltaSource

__all__ = ["RiskBounds", "RiskMonitor"]


class RiskBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a mode, and the accounts they apply to."""

    margin_keys: Mapping[str, str]
    """Cash key that margins the perps of each venue."""
    brackets: Mapping[str, Sequence[Bracket]]
    """Maintenance brackets by perp (`binance:BTC-PERP`)."""
    margin_ratio_reduce: float
    margin_ratio_exit_half: float
    margin_emergency_multiple: float
    """Multiple of the maintenance margin."""
    max_delta_drift: float
    """|net delta| as a fraction of equity."""
    max_drawdown: float
    """Fall of flow-adjusted equity from its peak, as a fraction."""
    delta_is_limited: bool
    """Whether the mode is meant to be delta neutral."""


class RiskMonitor(Actor):
    """Computes margin ratios, drawdown and delta drift for each view of the exposures."""

    def __init__(self, bounds: RiskBounds) -> None:
        super().__init__("risk_monitor")
        self._bounds = bounds
        self._equity = 0.0
        self._growth = 1.0
        self._peak = 1.0

    @on(ExposureView)
    def assess(self, exposure: ExposureView) -> None:
        """Compare the book with every limit."""
        book = exposure.book
        findings = _Findings()
        ratios, maintenance = self._margins(book, findings)
        drawdown = self._drawdown(book, findings)
        if drawdown > self._bounds.max_drawdown:
            findings.breach(RiskLevel.HIGH, f"drawdown {drawdown:.4f} above the limit {self._bounds.max_drawdown}")
        self._check_delta(exposure, findings)
        for asset in book.tick.market.stale_prices:
            if book.valuation.deltas.get(asset):
                findings.warnings.append(f"price of {asset} is stale")
        for key in book.valuation.unpriced:
            findings.breach(RiskLevel.HIGH, f"{key} has no known price, so no limit on it can be checked")
        self.log(
            RiskAssessment(
                book.tick.market.timestamp,
                findings.level,
                ratios,
                tuple(findings.warnings),
                tuple(findings.breaches),
                book.trigger,
                drawdown=drawdown,
            )
        )
        self.publish(RiskView(exposure, findings.level, ratios, maintenance, None, None, tuple(findings.breaches)))

    def _margins(self, book: PositionsView, findings: _Findings) -> tuple[dict[str, float], dict[str, float]]:
        """Margin ratio and maintenance ratio by venue with an open perp."""
        bounds = self._bounds
        notional: dict[str, float] = {}
        required: dict[str, float] = {}
        profit: dict[str, float] = {}
        for key, size in book.positions.items():
            if size == 0.0:
                continue
            info = parse_key(key)
            if info.perp is None:
                continue
            quote = book.tick.market.perps.get(info.perp)
            if quote is None or quote.mark is None:
                continue
            if not quote.mark_fresh:
                findings.warnings.append(f"mark of {info.perp} is stale")
            worth = abs(size) * quote.mark
            venue = info.venue
            notional[venue] = notional.get(venue, 0.0) + worth
            required[venue] = required.get(venue, 0.0) + maintenance_margin(worth, bounds.brackets[info.perp])
            profit[venue] = profit.get(venue, 0.0) + size * (quote.mark - book.entries[key])
        ratios: dict[str, float] = {}
        maintenance: dict[str, float] = {}
        for venue, worth in notional.items():
            cash = book.positions.get(bounds.margin_keys[venue], 0.0)
            ratio = ratios[venue] = margin_ratio(cash, profit[venue], worth)
            floor = maintenance[venue] = required[venue] / worth
            self._grade(venue, ratio, floor, findings)
        return ratios, maintenance

    def _grade(self, venue: str, ratio: float, maintenance: float, findings: _Findings) -> None:
        bounds = self._bounds
        emergency = bounds.margin_emergency_multiple * maintenance
        if ratio <= emergency:
            findings.breach(RiskLevel.CRITICAL, f"margin ratio of {venue} {ratio:.4f} at or below {emergency:.4f}")
        elif ratio <= bounds.margin_ratio_exit_half:
            limit = bounds.margin_ratio_exit_half
            findings.breach(RiskLevel.CRITICAL, f"margin ratio of {venue} {ratio:.4f} at or below {limit}")
        elif ratio <= bounds.margin_ratio_reduce:
            limit = bounds.margin_ratio_reduce
            findings.breach(RiskLevel.HIGH, f"margin ratio of {venue} {ratio:.4f} at or below {limit}")

    def _drawdown(self, book: PositionsView, findings: _Findings) -> float:
        flows = 0.0
        for settlement in book.settlements:
            if settlement.source is DeltaSource.LIQUIDATION:
                keys = ", ".join(delta.position_key for delta in settlement.deltas if delta.price is not None)
                findings.breach(RiskLevel.CRITICAL, f"liquidated on {settlement.domain}: {keys}")
            elif settlement.source in (DeltaSource.DEPOSIT, DeltaSource.WITHDRAWAL):
                for delta in settlement.deltas:
                    flows += delta.delta_amount * book.prices[parse_key(delta.position_key).asset]
        # What the owner adds or takes changes equity, but neither the growth of what was there nor its peak.
        equity = book.valuation.equity
        if self._equity > 0.0:
            self._growth *= (equity - flows) / self._equity
        self._equity = equity
        self._peak = max(self._peak, self._growth)
        return 1.0 - self._growth / self._peak

    def _check_delta(self, exposure: ExposureView, findings: _Findings) -> None:
        bounds = self._bounds
        if not bounds.delta_is_limited:
            return
        delta, equity = exposure.net_delta, exposure.book.valuation.equity
        if delta is None:
            findings.breach(RiskLevel.HIGH, "net delta cannot be computed: a price is not known")
        elif abs(delta) > bounds.max_delta_drift * equity:
            findings.breach(
                RiskLevel.HIGH, f"net delta {delta:.6g} above {bounds.max_delta_drift} of equity {equity:.6g}"
            )


class _Findings:
    """What one assessment found."""

    def __init__(self) -> None:
        self.level = RiskLevel.LOW
        self.warnings: list[str] = []
        self.breaches: list[str] = []

    def breach(self, level: RiskLevel, text: str) -> None:
        self.breaches.append(text)
        if _ORDER[level] > _ORDER[self.level]:
            self.level = level


_ORDER = {level: rank for rank, level in enumerate(RiskLevel)}
