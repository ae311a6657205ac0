"""Defines the directional strategy: long, short or flat in one BTC perpetual by a model's signal.

The position is opened by a signal that is strong and sure enough, with a target and a stop on the entry order, and held
for one horizon. Rules are tried in order; the first that wants something decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from basis_actors.config import DirectionalConfig, RunConfig
from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import MarketSpec
from basis_actors.messages.signals import SignalReceived
from basis_actors.messages.stops import BracketRecalled
from basis_actors.signals.build import build_signal_source
from basis_actors.strategies.base import Decision, Situation, Strategy
from basis_actors.strategies.candles import Candles, Entry
from basis_actors.strategies.chain_terms import gas_to_owe
from basis_actors.strategies.directional_book import DirectionalBook, directional_terms, read_directional_book
from basis_actors.strategies.directional_desk import DirectionalDesk
from basis_actors.strategies.directional_moves import DirectionalMoves, View, view_of
from basis_actors.strategies.found import Found
from basis_actors.strategies.fresh_margin import FreshMargin
from basis_actors.strategies.order_writer import OrderWriter
from basis_actors.times import NS_PER_SECOND

__all__ = ["MlDirectional"]

_Rule = Callable[[DirectionalMoves], Found | None]


class MlDirectional(Strategy):
    """Follows a signal on BTC. Its memory is the source of signals, the candle of the open position, and deposits.

    A deposit adds to an open position in proportion; a withdrawal shrinks it to what the rest carries.
    """

    hedged: ClassVar[bool] = False
    brings_stops: ClassVar[bool] = True

    def __init__(self, run: RunConfig) -> None:
        """Raises what `build_signal_source` raises for a source that cannot be used."""
        super().__init__(run)
        assert isinstance(run.mode.strategy_config, DirectionalConfig)
        self._config = run.mode.strategy_config
        self._terms = directional_terms(run, self._config)
        self._missed_limit = run.mode.data.funding_missed_limit
        self._step_ns = run.mode.tick_interval_seconds * NS_PER_SECOND
        self._source = build_signal_source(self._config, perp=self._terms.perp, step_ns=self._step_ns)
        self._fresh = FreshMargin(self._terms.margin_key)
        self._candles = Candles(self._config.signal.horizon_hours * 3600 * NS_PER_SECOND)

    @property
    def market_spec(self) -> MarketSpec:
        """The perpetual, the reference price of its asset, and gas with the price it is paid in."""
        return MarketSpec(assets=tuple(dict.fromkeys((self._config.asset, "ETH"))), perps=(self._terms.perp,), gas=True)

    @property
    def input_hashes(self) -> dict[str, str]:
        """The file of signals, when there is one."""
        return self._source.input_hashes

    def receive(self, received: SignalReceived) -> None:
        """Take note of what the endpoint said. Raises BasisError STRAT-001 when signals come from elsewhere."""
        self._source.take(received)

    def recall(self, bracket: BracketRecalled) -> None:
        """Go on with the candle of the position that the process before had opened; it began with a tick."""
        if bracket.position_key == self._terms.position_key:
            began_ns = bracket.opened_ns - bracket.opened_ns % self._step_ns
            self._candles.recall(Entry(bracket.entry_id, bracket.direction, began_ns), bracket.closed_by or "")

    def see(self, settlements: Sequence[Settlement]) -> None:
        """A stop may close the position between two decisions."""
        self._candles.see(settlements)

    def decide(self, situation: Situation) -> Decision:
        """The first rule that wants something decides, otherwise hold."""
        return self._decide(situation, _RULES)

    def de_risk(self, situation: Situation) -> Decision:
        """The rules that only reduce, and a close where the signal has turned."""
        return self._decide(situation, _REDUCING)

    def close_all(self, situation: Situation) -> Decision:
        """Close the position, then pay what is owed for gas."""
        return self._decide(situation, _CLOSING)

    def _decide(self, situation: Situation, rules: tuple[_Rule, ...]) -> Decision:
        market = situation.market
        book = read_directional_book(self._terms, situation, self._missed_limit)
        settlements = situation.book.risk.exposure.book.settlements
        self._candles.look(market.ns, book.direction, settlements)
        self._fresh.look(book.size, settlements)
        view = view_of(self._source.at(market), self._source.silence, self._config)
        moves = DirectionalMoves(
            self._config,
            self.run.mode.risk_limits,
            self._terms,
            book,
            DirectionalDesk(
                self._terms,
                self._config,
                book,
                lambda: OrderWriter(self.run, situation, self._config.slippage_tolerance),
            ),
            self._candles,
            self._fresh,
            view,
            ns=market.ns,
            wanted=situation.pending_withdrawal,
            maintenance=situation.book.risk.maintenance_ratio.get(self._terms.venue, 0.0),
            transfer_gas=lambda: gas_to_owe(self.run, market, self._terms.currency, "transfer"),
            carried_out=situation.carried_out,
        )
        found = None
        for rule in rules:
            found = rule(moves)
            if found is not None:
                break
        if found is None:
            found = Found("hold", "none", f"the position is held, {view.text}" if book.direction else view.text)
        return Decision(
            decision_type=found.decision_type,
            action=found.action,
            reasoning=found.reasoning,
            invested=book.direction != 0,
            orders=found.orders,
            constraints=(*found.constraints, *moves.unpayable()),
            market_conditions=_conditions(book, view),
            portfolio_state={"position": book.size, "margin_ratio": book.ratio},
        )


def _conditions(book: DirectionalBook, view: View) -> dict[str, float | None]:
    """What the decision was made on."""
    signal = view.signal
    if signal is None:
        return {"price": book.price, "signal": None, "confidence": None, "sd": None}
    return {"price": book.price, "signal": signal.rise, "confidence": signal.confidence, "sd": signal.sd}


_RULES: Final[tuple[_Rule, ...]] = (
    DirectionalMoves.obey_margin_limits,
    DirectionalMoves.flip,
    DirectionalMoves.leave,
    DirectionalMoves.pay_out,
    DirectionalMoves.fund,
    DirectionalMoves.enlarge,
    DirectionalMoves.enter,
)
_REDUCING: Final[tuple[_Rule, ...]] = (
    DirectionalMoves.obey_margin_limits,
    DirectionalMoves.close_if_turned,
    DirectionalMoves.leave,
    DirectionalMoves.pay_out,
)
_CLOSING: Final[tuple[_Rule, ...]] = (DirectionalMoves.close, DirectionalMoves.settle_gas)
