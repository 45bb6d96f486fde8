"""What can go wrong during a set-up, always with what to do about it."""


class SetupError(Exception):
    """Set-up cannot go on. `remedy` is an instruction that a newcomer can follow."""

    def __init__(self, message: str, remedy: str) -> None:
        """Both are plain sentences; the bootstrap prints them and exits with status 1."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
