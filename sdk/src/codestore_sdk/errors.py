"""Why a service cannot start, told to the person who wrote it."""


class StartError(Exception):
    """The service cannot start; `what` says why and `hint` what to do next.

    An exception of the service's own code travels as `__cause__`, and its traceback is shown.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"cannot start: {self.what}"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)
