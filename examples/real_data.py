"""Real history with a changed configuration, and a look at where the money came from.

    python examples/real_data.py DATA_FOLDER [START] [END]

The folder is in the data layout of this project; `basis-actors data check DATA_FOLDER` says what is in it. Without any
history, `basis-actors data generate market` makes a synthetic market in the new folder `market`.
"""

import sys

import basis_actors

if len(sys.argv) < 2:
    sys.exit(__doc__)
folder, start, end = (*sys.argv[1:], "2024-01-01", "2024-07-01")[:3]

# Half the leverage leaves half of the equity as margin, so that fewer transfers are needed in a rally.
overrides = {"strategy_config.leverage": 1.0, "strategy_config.funding_threshold": 0.00005}
result = basis_actors.backtest("eth_basis", data=folder, start=start, end=end, capital=250_000.0, overrides=overrides)

print(f"{result.summary.mode} on {result.summary.data_origin}: {result.summary.total_return:+.2%}")
for stand_in in result.summary.proxies:
    print(f"  stand-in: {stand_in}")

attribution = result.attribution.round(2)
used = attribution.loc[:, attribution.any()]
print("\nPnL by component, in USDT:")
print(used.iloc[-1].sort_values(ascending=False).to_string())

by_day = used.resample("D").last().diff().dropna()
total = by_day.sum(axis=1)
print("\nThe best and the worst day:")
print(by_day.loc[[total.idxmax(), total.idxmin()]].round(2).to_string())

orders = result.events("OperationExecutionEvent")
if not orders.empty:
    print("\nOrders by venue and kind:")
    print(orders.groupby(["venue", "operation_type"]).size().to_string())
