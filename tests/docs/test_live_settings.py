"""The tutorial about live trading links each group of settings to where the generated reference has its keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from basis_actors.config.models import ModeConfig

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tutorials" / "paper_then_live.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference" / "mode_settings.md").read_text(encoding="utf-8")
LINKS = dict(re.findall(r"\[`([a-z_.]+)`\]\(\.\./reference/mode_settings\.md#([a-z]+)\)", PAGE))
NEEDED = {
    "order_limits",
    "risk_limits",
    *(
        f"component_config.{name}"
        for name in ("kill_switch", "market_feed", "health_monitor", "monitoring", "alerts", "log_keeper")
    ),
}


def test_what_decides_of_a_live_process_is_linked() -> None:
    assert set(LINKS) >= NEEDED


@pytest.mark.parametrize("key", sorted(NEEDED | set(LINKS)))
def test_a_link_leads_to_the_keys_of_its_settings(key: str) -> None:
    model: Any = ModeConfig
    for name in key.split("."):
        model = model.model_fields[name].annotation
    assert LINKS[key] == model.__name__.lower()
    assert f"### {model.__name__}\n" in REFERENCE
