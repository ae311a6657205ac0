"""Makes the report of a run: one HTML page for people who look rather than read, which needs nothing but itself.

Everything on it is read from the run directory; nothing is computed twice where the log or the summary says it.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["REPORT_FILE", "report_html", "write_report"]

REPORT_FILE = "report.html"
"""Name of the page in a run directory or a result."""


def report_html(run_dir: Path) -> bytes:
    """The report of the run in `run_dir`; the same run directory gives the same bytes.

    A run that failed, was interrupted or killed, or never came to a tick has a report too, which says so.
    Raises BasisError LOG-003 when `run_dir` is not a run directory, and LOG-004 when its log, summary or configuration
    cannot be read.
    """
    from basis_actors.results.report.page import report_page
    from basis_actors.results.report.record import RunRecord

    return report_page(RunRecord(Path(run_dir))).encode()


def write_report(run_dir: Path, target: Path) -> tuple[str, ...]:
    """Write the report to the file `target`: as a whole, or not at all. Gives what is wrong with the log it shows.

    Raises as `report_html`, and BasisError LOG-001 when `target` cannot be written.
    """
    from basis_actors.results.report.page import report_page
    from basis_actors.results.report.record import RunRecord
    from basis_actors.results.report.writing import write_whole

    record = RunRecord(Path(run_dir))
    write_whole(Path(target), report_page(record).encode())
    return record.damage
