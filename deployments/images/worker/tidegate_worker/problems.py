"""Why a worker cannot serve: one error with what happened, what to do, and the exit code that the platform sees.

Exit codes follow sysexits.h, so that a log of restarts alone tells a bad order from bad luck.
"""

CONFIGURATION = 78
WRONG_DIGEST = 65
NO_MODEL = 66
ENGINE_FAILED = 70
NO_SPACE = 73
SOURCE_UNREACHABLE = 75


class WorkerProblem(Exception):
    """The worker cannot go on. `field` names the variable of the environment that is to blame, if one is."""

    def __init__(self, message: str, *, remedy: str, exit_code: int, field: str | None = None):
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code
        self.field = field

    def as_dict(self) -> dict[str, object]:
        """For the log and for `GET /worker`."""
        return {
            "message": self.message,
            "remedy": self.remedy,
            "field": self.field,
            "exit_code": self.exit_code,
        }


class Stopped(Exception):
    """The platform asked the worker to end while it prepared; nothing is wrong."""
