"""Series and feeds: the data layout, loading with checks, and the market as it was known at each tick.

`load_for` loads what a market spec needs from a folder, `build_feed` makes a feed of it, `check_dataset` reports on a
folder, `write_dataset` writes one. `SyntheticGenerator` makes data without any folder.
"""

from basis_actors.data.building import build_feed
from basis_actors.data.dataset import Dataset, Series
from basis_actors.data.feed import HistoricalFeed, between_ticks
from basis_actors.data.feed_report import FeedReport
from basis_actors.data.loading import load_dataset
from basis_actors.data.report import DataReport, SeriesReport, check_dataset
from basis_actors.data.requirements import Requirements, load_for, requirements_of
from basis_actors.data.synthetic import SyntheticGenerator
from basis_actors.data.window import window_of
from basis_actors.data.writing import require_room, write_dataset

__all__ = [
    "DataReport",
    "Dataset",
    "FeedReport",
    "HistoricalFeed",
    "Requirements",
    "Series",
    "SeriesReport",
    "SyntheticGenerator",
    "between_ticks",
    "build_feed",
    "check_dataset",
    "load_dataset",
    "load_for",
    "require_room",
    "requirements_of",
    "window_of",
    "write_dataset",
]
