"""The whole error tree of Tidegate.

TidegateError
├── Transient        the same call may succeed later: retry
│   └── CapacityShortage   the platform has no room now: park, do not fail
├── Permanent        repeating cannot help: stop
│   ├── InvalidInput       a field of the request or of a file is wrong
│   ├── NotFound           the named thing does not exist
│   ├── Refused            a rule, credential or budget says no
│   └── Fenced             a newer epoch owns the service: this owner must stop at once
└── NeedsOperator    a person must look before anything else happens

Outcomes of checks are data (`Verdict`), never exceptions: these are for "could not do it".
"""

from typing import Any


class TidegateError(Exception):
    """What happened, what to do about it, and the values that matter.

    `code` is stable (`TG-...`) and documented; `remedy` is an instruction to the reader; `context`
    holds field names and values and must never hold a secret.
    """

    code = "TG-0000"
    is_retryable = False

    def __init__(self, message: str, *, remedy: str = "", code: str | None = None, **context: Any):
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code or type(self).code
        self.context = context

    def __str__(self) -> str:
        text = f"[{self.code}] {self.message}"
        return f"{text} {self.remedy}" if self.remedy else text

    def as_dict(self) -> dict[str, Any]:
        """The same as data, for `--json`, reports and API replies."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "context": {key: str(value) for key, value in self.context.items()},
        }


class Transient(TidegateError):
    """The same call may succeed later."""

    code = "TG-1000"
    is_retryable = True


class CapacityShortage(Transient):
    """The platform has no room for another set at the moment; the release is parked."""

    code = "TG-1001"


class Permanent(TidegateError):
    """Repeating the call cannot help."""

    code = "TG-2000"


class InvalidInput(Permanent):
    """A field of a request, a policy or a file is wrong; the message names it."""

    code = "TG-2001"


class NotFound(Permanent):
    """The named organization, service, version, set or release does not exist."""

    code = "TG-2002"


class Refused(Permanent):
    """A policy, credential, budget or quarantine forbids the action."""

    code = "TG-2003"


class Fenced(Permanent):
    """Another owner holds a higher epoch of the service; nothing may be written any more (S6)."""

    code = "TG-2004"


class NeedsOperator(TidegateError):
    """Going on by itself could do harm; a person must decide."""

    code = "TG-3000"
