"""Defines what a strategy is: a pure decision on one view of the book, and the means to write its orders.

A strategy never sends anything. It is given the book as it is, and returns what it wants done and why.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from basis_actors.config import RunConfig
from basis_actors.config.plugins import StrategyClass
from basis_actors.errors import BasisError
from basis_actors.messages.book import BookView
from basis_actors.messages.execution import Settlement
from basis_actors.messages.market import FundingStamp, MarketSpec, MarketState
from basis_actors.messages.orders import Order
from basis_actors.messages.signals import SignalReceived
from basis_actors.messages.stops import BracketRecalled

__all__ = ["Decision", "Situation", "Strategy"]


class Situation(msgspec.Struct, frozen=True):
    """What a strategy decides on."""

    book: BookView
    pending_withdrawal: float
    """What the owner asked back and has not got yet, in tokens of the share class."""
    deposited: float
    """Sum of everything the owner paid in so far, the capital included."""
    carried_out: bool = True
    """Whether every order of the previous decision was done."""

    @property
    def market(self) -> MarketState:
        """The market of this tick."""
        return self.book.risk.exposure.book.tick.market

    @property
    def positions(self) -> Mapping[str, float]:
        """The ledger; it cannot be changed here."""
        return MappingProxyType(self.book.risk.exposure.book.positions)

    @property
    def entries(self) -> Mapping[str, float]:
        """Average entry price by perp key; it cannot be changed here."""
        return MappingProxyType(self.book.risk.exposure.book.entries)

    def held(self, key: str) -> float:
        """Amount of one position; 0 when there is none."""
        return self.book.risk.exposure.book.positions.get(key, 0.0)

    def bound(self, key: str) -> float:
        """How much of a position open orders bind, so that it cannot be sold now, whoever placed them."""
        return self.book.risk.exposure.book.bound.get(key, 0.0)


_TYPES: Final = (
    ("decision_type", str),
    ("action", str),
    ("reasoning", str),
    ("invested", bool),
    ("constraints", tuple),
)
"""Of the fields of a decision that its event takes as they are."""
_EXACTLY: Final = tuple(kind for _, kind in _TYPES)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy wants at one tick, and why. The fields are those of the StrategyDecision event.

    Raises TypeError for words, `invested` and `constraints` of another type: the log could not be read again.
    """

    decision_type: str
    action: str
    reasoning: str
    invested: bool
    """Whether capital is at work rather than waiting."""
    orders: tuple[Order, ...] = ()
    market_conditions: Mapping[str, Any] = {}
    portfolio_state: Mapping[str, Any] = {}
    constraints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fields = (self.decision_type, self.action, self.reasoning, self.invested, self.constraints)
        # A subclass will do as well, but is rare: nearly every decision passes at once.
        if tuple(map(type, fields)) != _EXACTLY:
            for (name, kind), value in zip(_TYPES, fields, strict=True):
                if not isinstance(value, kind):
                    raise TypeError(f"Decision.{name} is {value!r}; a {kind.__name__} was expected")
        for constraint in self.constraints:
            if not isinstance(constraint, str):
                raise TypeError(f"Decision.constraints has {constraint!r}; texts were expected")

    @property
    def adds_risk(self) -> bool:
        """Whether its orders open or enlarge a position."""
        return self.action in ("entry_full", "entry_partial")

    @classmethod
    def hold(cls, reasoning: str, *, invested: bool, **details: Any) -> Decision:
        """Nothing to do at this tick."""
        return cls(decision_type="hold", action="none", reasoning=reasoning, invested=invested, **details)


class Strategy(StrategyClass, ABC):
    """Base of all strategies. A new one is a subclass in a file of its own, and one line in `registry.py`.

    A strategy outside the package has no such line. It has the class attribute `Config`, a `config.Model` of what the
    mode's `strategy_config` holds, and the mode names it as `strategy: package.module:Class`.
    """

    hedged: ClassVar[bool]
    """Whether the strategy means to be delta neutral."""
    brings_stops: ClassVar[bool] = False
    """Whether its orders carry a stop_loss or take_profit, which whoever carries them out has to keep watch over."""

    def __init__(self, run: RunConfig) -> None:
        self.run = run

    @property
    @abstractmethod
    def market_spec(self) -> MarketSpec:
        """The part of the market that this strategy and its venues need to see."""

    @property
    def funding_history(self) -> int:
        """How many settled rates of each perp before the first tick `warm_up` wants to see."""
        return 0

    def warm_up(self, stamps: tuple[FundingStamp, ...]) -> None:
        """Take note of funding that was settled before the first tick. It may fill windows, never cause a trade."""
        if stamps:
            raise BasisError("STRAT-001", f"{type(self).__name__} asked for no funding history and was given some")

    def restrict_transfers(self, routes: frozenset[tuple[str, str]]) -> None:
        """Take note of from which account domain to which other USDT can be sent; before it is told, from each to each.

        One that wants another transfer all the same is told by its failure.
        """

    @property
    def input_hashes(self) -> dict[str, str]:
        """sha256 of each file, beside market data and configuration, that decisions depend on; by its path."""
        return {}

    def receive(self, received: SignalReceived) -> None:  # noqa: ARG002 - for overriders
        """Take note of a signal from outside. Raises BasisError STRAT-001 for a strategy that follows none."""
        raise BasisError("STRAT-001", f"{type(self).__name__} follows no signals and was sent one")

    def recall(self, bracket: BracketRecalled) -> None:
        """Take note, before the first decision, of what the process before knew of a position and its stops."""

    def see(self, settlements: Sequence[Settlement]) -> None:
        """Take note of what was settled between two decisions; what a tick began with is in its Situation."""

    @abstractmethod
    def decide(self, situation: Situation) -> Decision:
        """What to do at this tick. Raises BasisError with a STRAT code when no decision can be made."""

    @abstractmethod
    def close_all(self, situation: Situation) -> Decision:
        """The next step towards nothing but cash: only orders that reduce.

        Asked for at every tick once a critical risk has persisted, until it wants no orders and `invested` is false.
        """

    def de_risk(self, situation: Situation) -> Decision | None:  # noqa: ARG002 - for overriders
        """What to do instead of `decide` while only what reduces may be sent, by the risk level or the kill switch.

        None leaves it to `decide`, of which the manager then lets nothing through that adds risk.
        """
        return None
