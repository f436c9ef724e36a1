"""Errors that a whole study can have. Wrong arguments are ValueError; expected gaps are Notices, not errors."""


class StudyError(Exception):
    """A study or series that cannot be used.

    Attributes:
        code: A stable machine-readable reason code, e.g. ``missing_slice``.
        text: One sentence that names the thing, the value and the limit. Never a patient's name.
        where: What it concerns, e.g. a series UID or a path inside the archive.
    """

    def __init__(self, code: str, text: str, *, where: str = "") -> None:
        super().__init__(f"{code}: {text}" + (f" [{where}]" if where else ""))
        self.code = code
        self.text = text
        self.where = where
