"""Says of each error code what the system does by itself then, and what it leaves to a person.

Codes, severities and meanings in few words are those of `errors.REGISTRY`; the text of an error says what it is about.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["GUIDE", "Guide"]


class Guide(NamedTuple):
    """What becomes of an error with a code, a sentence each."""

    effect: str
    """What has happened, and what the system does by itself."""
    remedy: str
    """What is left to a person."""


_DEFECT: Final = "It is a defect: keep the run directory, and report it with the message."
_NOTHING: Final = "Nothing."

GUIDE: Final[dict[str, Guide]] = {
    "POS-001": Guide(
        "A venue changed a perpetual without saying at what price; the run ends.",
        "Have the venue class give each delta of a perpetual its fill price.",
    ),
    "POS-002": Guide(
        "A name is no position key, or none of this account; what asked with it fails.",
        "Write it as `venue:position_type:symbol`.",
    ),
    "POS-003": Guide("The position monitor failed with an error that has no code; the run ends.", _DEFECT),
    "POS-004": Guide(
        "A change would leave less than nothing of a position that cannot be negative; it is not booked, the run ends.",
        "Look for a change that was booked twice or not at all: `logs positions RUN KEY`.",
    ),
    "POS-005": Guide(
        "Ledger and venue disagree: the venue is asked again while its report may be late; if it stays so the run ends,"
        " and where it happens repeatedly the kill switch stops trading.",
        "Compare the account with the difference in the message; a new process starts from what the exchange shows.",
    ),
    "EXP-001": Guide("The exposure monitor failed with an error that has no code; the run ends.", _DEFECT),
    "EXP-003": Guide(
        "Positions were asked for before the first tick; the asker gets no answer.",
        "In a component of your own, ask from the first tick on.",
    ),
    "RISK-001": Guide(
        "A limit on drawdown, net delta or shares is broken: the strategy reacts by its own rules; at the level"
        " critical only what reduces is sent, and if that lasts the book is closed.",
        "Look at the book with `logs at`; change `risk_limits` only if the limit is wrong.",
    ),
    "RISK-002": Guide(
        "The health factor of a loan is too low, or not known: the strategy pays back; at the emergency level only"
        " what reduces is sent, and if that lasts the book is closed.",
        "Watch the loan; add collateral or pay back by hand if the wallet has no means to.",
    ),
    "RISK-003": Guide(
        "A loan is larger than its limit allows: nothing more is borrowed, and the strategy reduces by its own rules.",
        "Look whether the collateral has lost value or a withdrawal waits for it.",
    ),
    "RISK-004": Guide(
        "The margin of an exchange is too low, or would be after an order: that order is refused, the strategy moves"
        " cash or reduces; at the emergency level only what reduces is sent.",
        "Bring cash to that exchange if the wallet has none.",
    ),
    "RISK-005": Guide(
        "A venue has liquidated a position; what is left of the book is closed, and no more orders follow.",
        "Look at the account, and at the margin or health before; then decide on smaller leverage.",
    ),
    "RISK-006": Guide(
        "A measure of risk cannot be computed, mostly for want of a price, and counts as broken.",
        "Find the series or the exchange that the message names; without a price it stays so.",
    ),
    "RISK-007": Guide(
        "An order breaks a limit on orders; it is not sent, nor is its group, and the strategy decides anew next tick.",
        "Once or twice: nothing. At every tick: the limit in `order_limits` does not fit the mode.",
    ),
    "RISK-008": Guide(
        "Trading is stopped by the kill switch or by a person: what adds risk is not sent.",
        "`basis-actors status` says why; when the cause is gone, `basis-actors resume`.",
    ),
    "PNL-001": Guide("The PnL monitor failed with an error that has no code; the run ends.", _DEFECT),
    "PNL-003": Guide(
        "A perpetual was filled while its mark was not known, so its result cannot be split up; the run ends.",
        "Complete the series of marks, or have the venue class refuse such an order.",
    ),
    "PNL-004": Guide(
        "A fill does not say what was paid with; the run ends.",
        "Have the venue class put both tokens of a trade into one settlement.",
    ),
    "PNL-005": Guide(
        "A part of the change of equity is explained by no component; work goes on.",
        "Look at the deltas of that tick for one with a wrong source, price or key; the returns are right, their split"
        " is not.",
    ),
    "STRAT-001": Guide(
        "A strategy did not return a decision, or asked for what it does not declare; the run ends.",
        "Correct the strategy.",
    ),
    "STRAT-002": Guide(
        "An order expects another change than the one that it asks for; it is not sent.",
        "Correct the `expected_deltas` that the strategy writes.",
    ),
    "STRAT-003": Guide(
        "A mode has no strategy that can run it, or lacks a venue or market that the strategy needs; nothing is run.",
        "Correct the mode file as the message says.",
    ),
    "STRAT-004": Guide(
        "An order is none, or came off otherwise than expected, beyond the tolerance; what was filled is booked as it"
        " was filled.",
        "Compare expected and actual in `logs trace`; if it is often so, the tolerance or the size does not fit.",
    ),
    "STRAT-006": Guide(
        "A price is not known or too old; what needs it waits, and is decided on anew at the next tick.",
        "If it lasts: complete the series, or look whether the exchange still publishes the market.",
    ),
    "EXEC-001": Guide(
        "An order was not carried out, because another that it depends on was not, or because the venue ended it.",
        "Read the message; the order that failed first has the cause.",
    ),
    "EXEC-002": Guide(
        "An order was not sent, because trading had stopped or the run was about to end.",
        "Look for the error before it: that one stopped trading.",
    ),
    "EXEC-003": Guide(
        "An order is not put together as its operation needs it; nothing of it is sent.",
        "Correct the strategy.",
    ),
    "EXEC-004": Guide(
        "An order does not pass a check of size, balance or price, or the venue refused it for that; nothing happened,"
        " and it is never sent again.",
        "Once: nothing. Again and again: the message says which number does not fit.",
    ),
    "EXEC-005": Guide(
        "An order is done, and the account could not be compared: a backtest ends; live, nothing is sent to that"
        " exchange until it could be.",
        "If it lasts, look whether the exchange shows its account.",
    ),
    "EXEC-006": Guide(
        "A group did not come off as a whole. Of an atomic group nothing has happened but gas. Of a compensated one a"
        " leg stands alone: with a kill switch only what reduces is sent from then on, without one the run ends.",
        "A leg alone: look at the positions, level them by hand where the strategy has not, then"
        " `basis-actors resume`.",
    ),
    "EXEC-007": Guide(
        "After an order the ledger and the venue disagree, and went on to; the run ends.",
        "Compare the account with both numbers in the message; a new process starts from what the exchange shows.",
    ),
    "EXEC-008": Guide(
        "A venue class answered with the handshake of another order; the outcome counts as unknown and is asked for.",
        "Correct the venue class.",
    ),
    "EXEC-009": Guide(
        "An order is smaller than the venue takes; it is not sent, and the rest stays as it is.",
        _NOTHING,
    ),
    "VEN-001": Guide(
        "A venue does not do what was asked: there is no such way, market or setting; nothing happened.",
        "Correct the venue's file, or at the exchange the setting or address list that the message names.",
    ),
    "VEN-002": Guide(
        "Nobody knows whether an order happened: it is never sent again, only asked about; a backtest ends, live its"
        " exchange is halted until it says so.",
        "Wait; if it lasts, look for the client id of the message in the account.",
    ),
    "VEN-003": Guide(
        "A venue does not answer, or bans this address: nothing happened, it is tried again, and a long silence with"
        " something open there stops trading.",
        "Look whether the exchange is down; after a stop, `basis-actors resume` once it answers.",
    ),
    "VEN-004": Guide(
        "A venue, market or token is not configured; an order there is not sent, and a fee paid in it is not booked.",
        "Add it to the mode or to the venue's file; at the exchange, have fees taken in what is traded.",
    ),
    "VEN-005": Guide(
        "An exchange does not take the key: a start ends; a process that runs begins nothing there, and stops trading.",
        "Check the key, its permissions, its address list and the clock; then start again, or `basis-actors resume`.",
    ),
    "VEN-006": Guide(
        "An exchange wants to be asked less often: nothing happened, and it is tried again after the time it names, or"
        " after `api.longest_pause_seconds` of its venue file where that is shorter.",
        "Nothing, unless something else uses the same address or key.",
    ),
    "VEN-007": Guide(
        "Somebody else traded, paid or ordered in the account: what changed it is booked, orders of others are left"
        " alone.",
        "Find out who; an account is for one process.",
    ),
    "VEN-008": Guide(
        "An exchange is halted until it has said what became of an order; what would be sent there is not.",
        "Wait; `basis-actors status` names the order. Then it goes on by itself.",
    ),
    "VEN-009": Guide(
        "An account shows what nothing in its history explains: it is not booked at once, and nothing that adds risk is"
        " sent there.",
        "Look at the account; if what it shows is right it is believed after the time in the message.",
    ),
    "VEN-010": Guide(
        "A stop that protects a position has fired, was missing, or could not be placed: it is placed again, or its"
        " position is closed.",
        "After one that fired: nothing. Else look at the open stops of the account.",
    ),
    "ENGINE-001": Guide(
        "A run or process cannot begin; nothing was sent.",
        "Do what the message says, and start again.",
    ),
    "ENGINE-002": Guide(
        "A component failed with an error that has no code, and its row of supervision decides: mostly the run ends."
        " From a command: no process answers.",
        "Read the stack trace in `system_errors.jsonl`; for a command, start the process or ask again.",
    ),
    "ENGINE-003": Guide(
        "Something is in a state that cannot be, or the engine shows no sign of life: the run ends, or trading stops.",
        "Look what the process hangs on; restart it. Without such a cause it is a defect: report it.",
    ),
    "ENGINE-004": Guide(
        "The state directory cannot be read or written; a latch that cannot be read counts as killed.",
        "Mend disk and permissions, or restore the file that the message names from a copy; then start again.",
    ),
    "ENGINE-005": Guide(
        "Ticks were left out, because the one before took too long or the process came late; the newest is next.",
        "Once: nothing. Often: a longer interval, or a faster machine.",
    ),
    "ENGINE-006": Guide(
        "What a next process has to know cannot be written down, as the disk does not take it or the state directory is"
        " not in its place: only what reduces is sent until that is mended.",
        "Make room or mend the disk, or move back what the message calls gone: that is looked at every"
        " `kill_switch.heartbeat_seconds`, and goes on by itself. What cannot come back: end the process by SIGTERM,"
        " which says what is open, and start another.",
    ),
    "LOG-001": Guide(
        "A file of the log or of a result cannot be written, or its directory is not in its place: a backtest ends;"
        " live, only what reduces is sent until it can be.",
        "Make room, mend the permissions, or move the directory back.",
    ),
    "LOG-002": Guide(
        "The disk did not keep up and events were given up, or the process ends because too many wait.",
        "Use a faster disk; `replay` says where the gap is.",
    ),
    "LOG-003": Guide(
        "A directory of runs or results is not there, not one, or taken already; nothing is written or answered.",
        "Give another name or folder, as the message says.",
    ),
    "LOG-004": Guide(
        "A line or file cannot be read, or an event not be written as JSON; a run that logs it goes on.",
        "Restore the file from a copy, or correct the component that logs the event.",
    ),
    "LOG-005": Guide(
        "A full log file cannot be packed, or an old one not be deleted; it stays, and the run goes on.",
        "Make room, or pack or delete it by hand.",
    ),
    "LOG-006": Guide("A question to a log cannot be answered as it was asked.", "Ask again as the message says."),
    "DATA-001": Guide(
        "An exchange does not show its market when asked; it is asked again, and prices grow old meanwhile.",
        "If it lasts, look whether the exchange is down.",
    ),
    "DATA-002": Guide(
        "A file, price or signal does not hold what it should: a backtest does not begin; live, that one is left out.",
        "Correct the file and row that the message names.",
    ),
    "DATA-003": Guide(
        "Series are not there, or a stream of prices is lost: a backtest does not begin; live, prices are asked for"
        " until the stream is back.",
        "Give a folder that has the series; live, look at the network if it lasts.",
    ),
    "MON-001": Guide(
        "The port for health and metrics cannot be opened; trading goes on, and it is tried again.",
        "Free the port, or give another.",
    ),
    "MON-002": Guide(
        "A receiver of alerts took nothing; trading goes on, and what was not delivered is counted.",
        "Look at the receiver and its address.",
    ),
    "CONFIG-001": Guide("There is no mode of this name; nothing is run.", "Take one that `basis-actors modes` lists."),
    "CONFIG-002": Guide(
        "A key or an environment variable is missing; nothing is run.",
        "Give what the message names.",
    ),
    "CONFIG-003": Guide(
        "A setting or option cannot be used; nothing is run.",
        "Correct the key that the message names.",
    ),
    "CONFIG-004": Guide(
        "A venue cannot be used so: its file is wrong, or the mode cannot trade there in this way; nothing is run.",
        "Correct the venue's file, or choose another mode or `--replay-feed`.",
    ),
}
