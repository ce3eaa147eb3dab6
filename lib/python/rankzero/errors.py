"""The one exception that init() raises."""


class RankzeroError(ValueError):
    """A mistake of the caller: what is wrong (value and place), and what to do about it."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__("%s. %s" % (message, remedy))
        self.code = code
        self.message = message
        self.remedy = remedy
