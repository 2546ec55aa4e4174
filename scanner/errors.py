"""
Everything that Walkdown raises on purpose.

WalkdownError
├── UsageError            wrong arguments                                   (exit 1)
│   ├── SiteError         the site file, with file, line and a hint         (exit 1)
│   └── SiteErrors        all problems of a site file at once               (exit 1)
├── StoreError            database locked, newer or full                    (exit 1)
│   └── Damaged           what it holds is no record of ours any more       (exit 1)
├── ToolBug               our own contract was broken                       (exit 4)
├── Withheld              the governor said no; nothing was sent
│   ├── GuardRefused      the frame is not on the allow-list
│   ├── OutsideScope      the address is not in the plan
│   ├── OutsideWindow     no window or authorisation covers this moment     (halts, exit 3)
│   ├── BreakerOpen       the device or its zone showed distress
│   ├── Halted             stop was asked for
│   ├── BudgetSpent       the planned packets are used up
│   └── TierTooLow        the question needs a higher tier than granted
└── WireError             the device's side of a conversation
    ├── Refused           the connection was refused
    ├── Silent            no answer before the deadline
    │   └── Unreachable   no route, or nobody on the local link has the address
    ├── Reset             the connection was reset in mid-exchange
    ├── Closed            the peer closed before a whole reply came
    └── BadReply          bytes came, but they are not a reply
"""

from __future__ import annotations

from pathlib import Path


class WalkdownError(Exception):
    """Base of all expected errors; its text is fit to be shown to a user."""


class UsageError(WalkdownError):
    """Arguments that cannot be carried out; the message says what to do."""


class SiteError(UsageError):
    """One problem in a user's YAML file, with its place and a remedy."""

    def __init__(
        self, message: str, *, path: Path | None = None, line: int | None = None, hint: str = ""
    ) -> None:
        self.message = message
        self.path = path
        self.line = line
        self.hint = hint
        place = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(f"{place}{message}" + (f"\n  hint: {hint}" if hint else ""))


class SiteErrors(UsageError):
    """All problems found in one file, in the order of their lines."""

    SHOWN = 50

    def __init__(self, errors: tuple[SiteError, ...]) -> None:
        self.errors = errors
        lines = [str(error) for error in errors[: self.SHOWN]]
        if len(errors) > self.SHOWN:
            lines.append(f"and {len(errors) - self.SHOWN} more problems")
        super().__init__("\n".join(lines))


class StoreError(WalkdownError):
    """The database cannot be used; the message says why and what to do."""


class Damaged(StoreError):
    """What lies there is no whole database of ours: the place is right, the content is not."""


class ToolBug(WalkdownError):
    """A contract inside Walkdown was broken."""


class Withheld(WalkdownError):
    """The governor kept a frame back. `rule` names which rule, for the report."""

    rule = "withheld"


class GuardRefused(Withheld):
    rule = "guard"


class OutsideScope(Withheld):
    rule = "scope"


class OutsideWindow(Withheld):
    rule = "window"


class BreakerOpen(Withheld):
    rule = "breaker"


class BudgetSpent(Withheld):
    rule = "budget"


class TierTooLow(Withheld):
    rule = "tier"


class Halted(Withheld):
    """Stop was asked for: Ctrl-C, a signal, or a safety rule for the whole scan."""

    rule = "halt"


class WireError(WalkdownError):
    """What a device did, or did not do."""


class Refused(WireError):
    pass


class Silent(WireError):
    pass


class Unreachable(Silent):
    """No route, or the address did not resolve on the local link: nobody is there."""


class Reset(WireError):
    pass


class Closed(WireError):
    pass


class BadReply(WireError):
    """The one exception a decoder may raise."""
