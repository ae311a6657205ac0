"""A first backtest, with no files and no network: a quarter of a basis trade on the embedded synthetic market.

python examples/first_backtest.py
"""

import basis_actors

result = basis_actors.backtest("btc_basis", start="2024-01-01", end="2024-03-31")
print(result)

summary = result.summary
print(f"\n{summary.ticks:,} ticks, {summary.orders} orders, {summary.total_return:+.2%} in {summary.currency}.")
print("Equity at the end of each month:")
for month, equity in result.equity.resample("ME").last().items():
    print(f"  {month:%Y-%m}  {equity:,.2f}")
