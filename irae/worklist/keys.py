"""Who may look: one random key a start, a cookie after the first link, nothing else."""

from __future__ import annotations

import hashlib
import hmac
import secrets

COOKIE = "irae_session"


class Keys:
    """Checks keys in constant time. The cookie and the form key are derived, so neither reveals the link's token."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(32)
        if len(self.token) < 16:
            raise ValueError(f"a token needs at least 16 characters, got {len(self.token)}")
        self.session = self._derived("session")
        self.form = self._derived("form")

    def _derived(self, use: str) -> str:
        return hmac.new(self.token.encode(), use.encode(), hashlib.sha256).hexdigest()

    def opens(self, token: str) -> bool:
        """Whether this is the link's token."""
        return _same(token, self.token)

    def knows(self, session: str) -> bool:
        """Whether this is the cookie of someone who came by the link."""
        return _same(session, self.session)

    def signed(self, form: str) -> bool:
        """Whether a form came from our own page."""
        return _same(form, self.form)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
