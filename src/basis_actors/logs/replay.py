"""Rebuilds the ledger of a run from its delta events alone, and holds every snapshot and every PnL against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from basis_actors.errors import BasisError
from basis_actors.finance.keys import STABLE, parse_key
from basis_actors.finance.ledger import book_settlement
from basis_actors.logs.directory import EVENTS_FOLDER, SUMMARY_FILE, RunStatus, state_of
from basis_actors.logs.integrity import Finding, LogWalk, SealCheck, check_inputs, check_seals
from basis_actors.logs.reader import EventLog, require_event_files
from basis_actors.logs.seals import SEALS_STEM
from basis_actors.logs.segments import SUFFIX, segments
from basis_actors.messages.events import DomainEvent, ExecutionDeltaEvent, PnLCalculation, PositionSnapshot
from basis_actors.messages.execution import OWNERS_FLOWS, DeltaSource, PositionDelta, Settlement

__all__ = ["ENDED", "Replay", "replay"]

ENDED: Final = (RunStatus.COMPLETED, RunStatus.PARTIAL)
"""Of runs that came to an orderly end: the last thing they write is a seal over everything, and a summary."""

_TOLERANCE: Final = 1e-9
"""Of the sum of what is owned and owed: equity is a difference, and sums are taken in another order here."""
_DUST: Final = 1e-12
"""Of the amounts added: what is left of a position that was closed."""
_CUT_OFF: Final = "event {} of the last batch is missing: the run was cut off; nothing from there on was checked"
_LOST: Final = (
    "events {} to {} are lost: the disk took nothing. The ledger goes on with the snapshot after them, and equity from"
    " there on is not recomputed"
)
_NO_INPUTS: Final = (
    "the seals do not say what the run began with: an earlier version wrote it. Configuration and data report were not"
    " checked"
)
_PER_CHECK: Final = 20
"""Findings of one kind that are kept; one wrong delta makes every later snapshot differ."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay came to."""

    run_dir: str
    status: str
    """`running`, `completed`, `partial`, `failed`, or `killed`."""
    events: int
    deltas: int
    snapshots: int
    """Snapshots of the ledger that were compared, key by key and to the last bit."""
    calculations: int
    """PnL calculations whose equity, totals and sums were recomputed."""
    equity: float | None
    """Equity at the last calculation, in the share class."""
    positions: dict[str, float]
    """The sum of all deltas, whatever the snapshots show."""
    sealed: int
    """Events that were there at the last seal; 0 where there is no seal."""
    lost: int
    """Events that were given up because the disk took nothing, as the log itself says."""
    inputs: dict[str, str]
    """sha256 of configuration and data report as the seals say it, by name; empty in the log of an earlier version."""
    has_summary: bool
    """Whether there is a summary; a run that was killed leaves none."""
    findings: list[Finding]
    """What is wrong, at most 20 of each kind, in the order of the log; empty where all agrees."""
    more: dict[str, int]
    """Findings beyond those, by check."""
    notes: list[str]
    """What a run leaves behind that did not come to its end, and nothing vouches for."""


def replay(run_dir: Path, observe: Callable[[DomainEvent], None] = lambda _: None) -> Replay:
    """Check a run against its own log, in memory that does not grow with it. `observe` is given every event in order.

    Whether the numbers of the summary follow from the log is left to `results.verification`. Raises BasisError LOG-003
    when `run_dir` is not a run directory or has no event log, LOG-004 when a newer version wrote it. That the log of a
    run is gone which kept one to its end is a finding.
    """
    metadata = EventLog(run_dir).metadata
    folder = Path(run_dir) / EVENTS_FOLDER
    ended = metadata.status in ENDED
    if not (ended and metadata.keeps_events) and not segments(folder, SEALS_STEM):
        require_event_files(run_dir, metadata)
    seals = check_seals(folder)
    if metadata.currency is None:
        raise BasisError("LOG-003", f"{run_dir} does not say in which currency it counts; run the mode again")
    findings: list[Finding] = []
    books = _Books(findings, metadata.currency)
    walk = LogWalk(
        folder, loose_from=inf if ended else seals.sealed, lost=seals.lost, gap=books.go_on_after_a_gap, found=findings
    )
    for number, event in walk:
        books.take(number, event)
        observe(event)
    has_summary = (Path(run_dir) / SUMMARY_FILE).is_file()
    loose = list(_loose_ends(walk, seals, has_summary=has_summary))
    changed = [*seals.findings, *check_inputs(Path(run_dir), seals.inputs)]
    findings, more = _shortened([*changed, *walk.findings, *(loose if ended else ())])
    return Replay(
        run_dir=str(run_dir),
        status=state_of(run_dir, metadata),
        events=walk.events,
        deltas=books.deltas,
        snapshots=books.snapshots,
        calculations=books.calculations,
        equity=None if books.last is None else books.last.equity,
        positions=books.summed,
        sealed=seals.sealed,
        lost=sum(last - first + 1 for first, last in seals.lost),
        inputs=seals.inputs,
        has_summary=has_summary,
        findings=findings,
        more=more,
        notes=[
            *(_LOST.format(first, last) for first, last in seals.lost),
            *([] if walk.cut_off is None else [_CUT_OFF.format(walk.cut_off)]),
            *([] if seals.inputs or not seals.sealed else [_NO_INPUTS]),
            *(() if ended else (f"{end.where} {end.what}" for end in loose)),
        ],
    )


def _loose_ends(walk: LogWalk, seals: SealCheck, *, has_summary: bool) -> Iterator[Finding]:
    """What a run leaves that did not come to its end, and no other."""
    for line in (*walk.torn, *seals.torn):
        check = "seal" if line in seals.torn else "line"
        yield Finding(check, line.path.name, f"ends within a line: {line.length} bytes were left out")
    if not seals.sealed:
        rest = f": nothing vouches for {walk.events:,} events" if walk.events else ", and there are no events"
        yield Finding("seal", f"{SEALS_STEM}{SUFFIX}", f"has no seal{rest}")
    for stem, count in seals.unsealed.items() if seals.sealed else ():
        yield Finding("seal", f"{stem}{SUFFIX}", f"goes on after its last seal: nothing vouches for {count:,} lines")
    if not has_summary:
        yield Finding("summary", SUMMARY_FILE, "is not there: the run has not come to its end, or it was removed")


class _Books:
    """The ledger and the sums, as far as the walk has come."""

    def __init__(self, findings: list[Finding], currency: str) -> None:
        self._currency = currency
        self.positions: dict[str, float] = {}
        """What the next snapshot has to show."""
        self._alone: dict[str, float] | None = None
        """The sum of the deltas, once a snapshot showed something else; None as long as it is `positions`."""
        self.deltas = self.snapshots = self.calculations = 0
        self.last: PnLCalculation | None = None
        self._findings = findings
        self._entries: dict[str, float] = {}
        self._domains: dict[str, int] = {}
        self._capital: float | None = None
        self._flows = 0.0
        self._moved: list[PositionDelta] = []
        """What the owner brought or took since the last calculation, whose prices value it."""
        self._opened = False
        """Whether the ledger began with what an account held already, which only the log's own prices value."""
        self._attribution: dict[str, float] = {}
        self._residual = 0.0
        self._after_gap = self._unknown_entries = False

    def go_on_after_a_gap(self) -> None:
        """Events are lost: the next snapshot and the next calculation are what later ones are held against."""
        self._after_gap = self._unknown_entries = True
        self._domains.clear()

    @property
    def summed(self) -> dict[str, float]:
        """The sum of the deltas so far."""
        return self.positions if self._alone is None else self._alone

    def take(self, number: int, event: DomainEvent) -> None:
        """One event, in the order of the log."""
        if isinstance(event, ExecutionDeltaEvent):
            self._delta(number, event)
        elif isinstance(event, PositionSnapshot):
            self._snapshot(number, event)
        elif isinstance(event, PnLCalculation):
            self._calculation(number, event)

    def _found(self, check: str, number: int, what: str) -> None:
        self._findings.append(Finding(check, f"event {number}", what))

    def _delta(self, number: int, event: ExecutionDeltaEvent) -> None:
        self.deltas += 1
        due = self._domains.get(event.domain, event.domain_sequence)
        if event.domain_sequence != due:
            self._found("ledger", number, f"is settlement {event.domain}#{event.domain_sequence}; #{due} was expected")
        self._domains[event.domain] = event.domain_sequence + 1
        if self._after_gap:
            return  # the snapshot that is waited for holds it
        settlement = Settlement(
            event.source, event.timestamp, event.domain, event.domain_sequence, event.deltas, event.operation_id
        )
        try:
            self.positions, self._entries = book_settlement(settlement, self.positions, self._entries)
        except (BasisError, ArithmeticError, ValueError) as error:
            self._found("ledger", number, f"cannot be booked: {error}")
        if self._alone is not None:
            for delta in event.deltas:
                held = self._alone.pop(delta.position_key, 0.0)
                total = held + delta.delta_amount
                if abs(total) > _DUST * max(abs(held), abs(delta.delta_amount)):
                    self._alone[delta.position_key] = total
        if event.source is DeltaSource.OPENING:
            self._opened = True
        if event.source in OWNERS_FLOWS:
            self._moved += event.deltas

    def _snapshot(self, number: int, event: PositionSnapshot) -> None:
        self.snapshots += 1
        shown = event.positions
        if self._after_gap:
            self._after_gap = False
            self.positions = {key: amount for key, amount in shown.items() if _is_position(key)}
            self._alone = None
        if shown == self.positions:
            return
        for key in sorted(shown.keys() | self.positions.keys()):
            there, here = shown.get(key, 0.0), self.positions.get(key, 0.0)
            if there != here:
                self._found("ledger", number, f"shows {there!r} of {key}; the deltas before it sum to {here!r}")
        if self._alone is None:
            self._alone = dict(self.positions)
        # What follows is held against what is shown here, so that a wrong delta is found once and not ever after.
        self.positions = {key: amount for key, amount in shown.items() if _is_position(key)}

    def _calculation(self, number: int, event: PnLCalculation) -> None:
        self.last = event
        if self._unknown_entries:
            return
        self.calculations += 1
        equity, gross = self._valued(event.marks)
        self._flows += sum(self._worth(delta.position_key, delta.delta_amount, event.marks) for delta in self._moved)
        self._moved.clear()
        if self._capital is None and event.equity != 0.0:
            earned = sum(event.attribution.values()) + event.residual
            self._capital = equity - earned if self._opened else self._flows
            self._flows = self._capital
        for component, amount in event.attribution.items():
            self._attribution[component] = self._attribution.get(component, 0.0) + amount
        self._residual += event.residual
        flows = self._flows - (self._capital or 0.0)
        explained = sum(event.attribution_total.values()) + event.residual_total
        for name, shown, expected in (
            ("equity", event.equity, equity),
            ("external_flows", event.external_flows, flows),
            ("total_pnl", event.total_pnl, equity - (self._capital or 0.0) - flows),
            ("sum of attribution_total and residual_total", explained, event.total_pnl),
            ("realized_pnl + unrealized_pnl", event.realized_pnl + event.unrealized_pnl, event.total_pnl),
            ("residual_total", event.residual_total, self._residual),
            *(
                (f"attribution_total.{component}", total, self._attribution.get(component, 0.0))
                for component, total in event.attribution_total.items()
            ),
        ):
            if not abs(shown - expected) <= _TOLERANCE * max(gross, 1.0):
                self._found("pnl", number, f"has {name} {shown!r}; {expected!r} follows from the log")
        self._flows += event.external_flows - flows
        self._residual = event.residual_total
        self._attribution = dict(event.attribution_total)

    def _valued(self, marks: Mapping[str, float]) -> tuple[float, float]:
        """Equity, and the sum of the sizes of all values, at the prices that the event itself names."""
        equity = gross = 0.0
        for key, amount in self.positions.items():
            info = parse_key(key)
            if info.contract is not None:
                mark, entry = marks.get(info.perp or ""), self._entries.get(key)
                value = info.contract.upnl(amount, entry, mark) if mark and entry else 0.0
                worth = value * self._price(info.paid_in, marks)
            else:
                worth = self._worth(key, amount, marks)
            equity += worth
            gross += abs(worth)
        return equity, gross

    def _worth(self, key: str, amount: float, marks: Mapping[str, float]) -> float:
        """Of an amount under a token key, in the share class."""
        info = parse_key(key)
        rate = 1.0 if info.lst is None else marks.get(f"rate:{info.lst}", 0.0)
        return amount * info.sign * rate * self._price(info.asset, marks)

    def _price(self, asset: str, marks: Mapping[str, float]) -> float:
        """One unit in the share class; 0 where there was no price, as in the balance sheet."""
        if asset == self._currency:
            return 1.0
        price = 1.0 if asset == STABLE else marks.get(f"S:{asset}", 0.0)
        unit = 1.0 if self._currency == STABLE else marks.get(f"S:{self._currency}")
        return price / unit if unit else 0.0


def _is_position(key: str) -> bool:
    try:
        parse_key(key)
    except BasisError:
        return False
    return True


def _shortened(findings: list[Finding]) -> tuple[list[Finding], dict[str, int]]:
    kept: list[Finding] = []
    seen: dict[str, int] = {}
    for finding in findings:
        seen[finding.check] = seen.get(finding.check, 0) + 1
        if seen[finding.check] <= _PER_CHECK:
            kept.append(finding)
    return kept, {check: count - _PER_CHECK for check, count in seen.items() if count > _PER_CHECK}
