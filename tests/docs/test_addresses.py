"""The page on other addresses names every address that a venue takes, and those of the testnet as ccxt knows them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from ccxt.pro import bybit

from basis_actors.config.exchange_api import ADDRESSES

PAGE = (Path(__file__).parents[2] / "docs" / "tutorials" / "alerts_and_testnets.md").read_text(encoding="utf-8")


def test_the_table_has_every_address() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (`[^|]+`) \| \S", PAGE)
    named = sorted((venue, name) for venue, names in rows for name in re.findall(r"`(\w+)`", names))
    assert named == sorted((venue, name) for venue, names in ADDRESSES.items() for name in names)


def test_the_testnet_is_the_one_that_ccxt_knows() -> None:
    (text,) = re.findall(r'(?s)```yaml title="testnet.yaml"\n(.*?)```', PAGE)
    given = yaml.safe_load(text)["venue_configs"]["bybit"]["urls"]
    exchange = bybit({"sandbox": True})
    api = exchange.urls["api"]
    known = {
        "rest": api["private"],
        "public_stream": api["ws"]["public"]["spot"],
    }
    places = {name: urlsplit(url.format(hostname=exchange.hostname)) for name, url in known.items()}
    assert given == {name: f"{place.scheme}://{place.netloc}" for name, place in places.items()}
