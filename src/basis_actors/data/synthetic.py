"""Generates the embedded market: every series of the data layout from a seed, with no file and no network.

A seed is one fixed market that begins at the epoch of the calibration and goes on for as long as there are stamps; a
window only shows a part of it. The same moment has the same value in every window. Prices at full hours, funding and
all on-chain series are the same at every step; the way inside an hour, extremes of bars and volumes are drawn for each
step apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import gcd

import numpy as np

from basis_actors.config.synthetic import Calibration
from basis_actors.data.calibration import load_calibration
from basis_actors.data.dataset import Dataset, Series
from basis_actors.data.stamps import DAY, HOUR, iso
from basis_actors.data.synthetic_chain import chain_series
from basis_actors.data.synthetic_exchanges import exchange_series
from basis_actors.data.synthetic_market import Market
from basis_actors.data.synthetic_paths import Draws, Paths
from basis_actors.errors import DataError
from basis_actors.times import ns_from_utc

__all__ = ["SyntheticGenerator"]

_LEAD_DAYS = 31
"""Days from the origin of all paths to the epoch, so that windows that look back are full at the epoch."""
_LARGEST_SEED = 2**63 - 1
_END_NS = ns_from_utc(datetime(2262, 1, 1, tzinfo=UTC))
"""Nanoseconds in 64 bits end in April 2262; the rest is for what looks ahead of a window."""


@dataclass(frozen=True, slots=True)
class SyntheticGenerator:
    """Generates windows of the market of one seed.

        dataset = SyntheticGenerator(seed=7, step_seconds=3600).generate(start_ns, end_ns)

    `step_seconds` is the step of exchange and pool bars: whole minutes that divide a day, 60 to 86,400. Other series
    keep their own: rates, oracles and yields daily, market rates hourly, gas every two hours, funding every eight.
    Raises DataError DATA-002 for another step or a seed outside 0 to 2^63 - 1.
    """

    seed: int
    step_seconds: int
    calibration: Calibration = field(default_factory=load_calibration)
    """What the market is like; `configs/synthetic.yaml` unless another is given."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise DataError("DATA-002", f"seed {self.seed}; expected a whole number from 0 to {_LARGEST_SEED}")
        step = self.step_seconds
        if step <= 0 or step % 60 or 86400 % step:
            text = "expected whole minutes that divide a day, such as 60, 300, 3600 or 86400"
            raise DataError("DATA-002", f"synthetic step of {step} s; {text}")

    @property
    def epoch_ns(self) -> int:
        """The first moment there is, in nanoseconds since 1970."""
        return ns_from_utc(datetime.fromisoformat(self.calibration.epoch))

    def generate(self, start_ns: int, end_ns: int) -> Dataset:
        """All series with the rows stamped from 00:00 UTC of the day of `start_ns` up to and including `end_ns`.

        A later `end_ns` adds rows and changes none; so does an earlier `start_ns`. Raises DataError DATA-002 when
        the window ends before it starts, starts before the epoch or ends after 2261.
        """
        if end_ns < start_ns:
            text = f"before its start {iso(start_ns)}; end it there or later"
            raise DataError("DATA-002", f"window ends at {iso(end_ns)}, {text}")
        if start_ns < self.epoch_ns:
            text = f"the synthetic market begins at {iso(self.epoch_ns)}; start there or later"
            raise DataError("DATA-002", f"window starts at {iso(start_ns)}, but {text}")
        if end_ns >= _END_NS:
            text = f"the synthetic market ends before {iso(_END_NS)}; end there"
            raise DataError("DATA-002", f"window ends at {iso(end_ns)}, but {text}")
        market = self._market(start_ns, end_ns)
        everything: dict[str, Series] = {}
        for series in (*exchange_series(market), *chain_series(market)):
            everything[series.name] = _cut(series, start_ns - start_ns % DAY, end_ns)
        digest = hashlib.sha256(self.calibration.model_dump_json().encode()).hexdigest()
        origin = f"synthetic, seed {self.seed}"
        return Dataset(dict(sorted(everything.items())), origin, self.seed, {"synthetic parameters": digest})

    def _market(self, start_ns: int, end_ns: int) -> Market:
        origin_ns = self.epoch_ns - _LEAD_DAYS * DAY
        first = (start_ns - origin_ns) // DAY - 1
        days = (end_ns - origin_ns) // DAY + 2 - first
        step_ns = self.step_seconds * 10**9
        paths = Paths(Draws(self.seed), first, days, DAY // gcd(step_ns, HOUR))
        return Market(self.calibration, paths, origin_ns, _LEAD_DAYS, step_ns)


def _cut(series: Series, first_ns: int, last_ns: int) -> Series:
    """The rows stamped from `first_ns` to `last_ns`, both included."""
    low = int(np.searchsorted(series.ns, first_ns, side="left"))
    high = int(np.searchsorted(series.ns, last_ns, side="right"))
    columns = {name: values[low:high] for name, values in series.columns.items()}
    return Series(series.name, series.ns[low:high], columns, series.step_ns)
