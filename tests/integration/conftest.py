"""Shared by integration tests: a way to carry out orders with everything real, and one short run on disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.engine.play import ALWAYS_IN, utc
from tests.integration.floor import Floor, Plan, carry_out

from basis_actors.bus.testkit import Runtimes, runtimes
from basis_actors.services.backtest import Backtest
from basis_actors.services.preparation import BacktestRequest, prepare

runtime = runtimes()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def real_execution_manager(runtime: Runtimes) -> Callable[..., Awaitable[Floor]]:
    """Carries out planned orders with the execution manager, the venues and all between them as they are."""

    async def execute(mode: str, *plans: Plan) -> Floor:
        return await carry_out(runtime, mode, *plans)

    return execute


@pytest.fixture(scope="session")
def real_engine(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    """A basis run of five synthetic days that is over; its files are in `run_dir`."""
    request = BacktestRequest(
        mode="btc_basis",
        start=utc("2024-01-01"),
        end=utc("2024-01-06"),
        settings=[ALWAYS_IN],
        out=tmp_path_factory.mktemp("logs") / "nested",
        correlation_id="five-days",
    )
    backtest = Backtest(prepare(request))
    assert backtest.run().failure is None
    return backtest
