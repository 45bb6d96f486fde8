"""Mail by SMTP. The message is offered first, and marked as sent only when the server is ready to take its text."""

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.errors import MessageError
from typing import Any, cast

from tidegate.domain.channel import MailServer
from tidegate.observability.notifications.messages import mail
from tidegate.observability.notifications.network import TALK_S, Talk, talk
from tidegate.observability.notifications.sending import (
    ANSWER_TIMEOUT_S,
    Post,
    SendFailed,
    Unanswered,
    without,
)

ADDRESS = re.compile(r"[^@\s<>,;:\"()]+@[A-Za-z0-9.-]+")
READY_FOR_TEXT = 354


class MailSender:
    """Carries mail to the organization's own server. `trust` is for servers with a certificate of one's own."""

    def __init__(
        self,
        trust: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        talk_s: float = TALK_S,
    ):
        self._talk_s = talk_s
        self._trust = trust
        self._now = now

    def send(self, post: Post, begin: Callable[[], None]) -> str:
        server = post.channel.mail
        assert server is not None, "a channel of kind email has it"
        recipients = _recipients(post.address)
        try:
            text = mail(post.message, server.sender, recipients, self._now()).as_bytes()
        except (MessageError, ValueError):
            raise SendFailed(
                "its address, or the sender, is none that a mail can have", is_final=True
            ) from None
        with talk(self._talk_s) as limited:
            return self._talk(limited, post, server, recipients, text, begin)

    def _talk(
        self,
        limited: Talk,
        post: Post,
        server: MailServer,
        recipients: list[str],
        text: bytes,
        begin: Callable[[], None],
    ) -> str:
        try:
            with self._connected(server, limited) as smtp:
                return self._offer(smtp, post, server, recipients, text, begin)
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, _said(error.smtp_error), post) from None
        except smtplib.SMTPNotSupportedError as error:
            raise SendFailed(without(str(error), post), is_final=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise SendFailed(without(f"{type(error).__name__}: {error}", post)) from None

    @contextmanager
    def _connected(self, server: MailServer, limited: Talk) -> Generator[smtplib.SMTP]:
        """Not smtplib's own block: that says QUIT at its end, and fails a mail that was taken for the answer to it."""
        options: dict[str, Any] = {"host": server.host, "port": server.port, "timeout": ANSWER_TIMEOUT_S}
        if server.security == "ssl":
            made: smtplib.SMTP = _LimitedSsl(limited, context=self._trust(), **options)
        else:
            made = _Limited(limited, **options)
        try:
            yield made
            with suppress(smtplib.SMTPException, OSError):
                made.quit()
        finally:
            made.close()

    def _offer(
        self,
        smtp: smtplib.SMTP,
        post: Post,
        server: MailServer,
        recipients: list[str],
        text: bytes,
        begin: Callable[[], None],
    ) -> str:
        if server.security == "starttls":
            smtp.starttls(context=self._trust())
        smtp.ehlo_or_helo_if_needed()
        if server.username is not None:
            smtp.login(server.username, post.secrets["mail.password"].reveal())
        _accept(smtp.mail(server.sender), post)
        answers = [smtp.rcpt(one) for one in recipients]
        refused = [answer for answer in answers if answer[0] >= 400]
        if len(refused) == len(answers):
            _accept(refused[0], post)
        _accept(smtp.docmd("DATA"), post, expected=READY_FOR_TEXT)
        begin()
        code, said = _deliver(smtp, text)
        if code >= 400:
            raise _refused(code, said, post)
        left_out = f"; {len(refused)} of {len(answers)} recipients refused" if refused else ""
        return without(f"{code} {said}", post) + left_out


class _Limited(smtplib.SMTP):
    """Its connection ends with the talk, also while a server is asked for its greeting."""

    def __init__(self, limited: Talk, **options: Any):
        self._limited = limited
        super().__init__(**options)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = cast("socket.socket", super()._get_socket(host, port, timeout))  # type: ignore[misc]
        self._limited.watch(made)
        return made


class _LimitedSsl(_Limited, smtplib.SMTP_SSL):
    """The same by TLS from the first byte."""


def _deliver(smtp: smtplib.SMTP, text: bytes) -> tuple[int, str]:
    """The text and its final dot. A connection that breaks now leaves open whether the server kept it."""
    lines = re.sub(rb"(?m)^\.", b"..", text)
    end = b".\r\n" if lines.endswith(b"\r\n") else b"\r\n.\r\n"
    try:
        smtp.send(lines + end)
        code, said = smtp.getreply()
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        raise Unanswered(
            f"the mail server broke off after it was given the text: {type(error).__name__}"
        ) from None
    return code, _said(said)


def _recipients(address: str) -> list[str]:
    found = [one.strip() for one in address.split(",") if one.strip()]
    if not found or not all(ADDRESS.fullmatch(one) and one.isascii() for one in found):
        raise SendFailed("its address is no list of mail addresses with commas between them", is_final=True)
    return found


def _accept(answer: tuple[int, bytes], post: Post, expected: int | None = None) -> None:
    code, said = answer
    if code >= 400 or (expected is not None and code != expected):
        raise _refused(code, _said(said), post)


def _refused(code: int, said: str, post: Post) -> SendFailed:
    """4xx: later perhaps. 5xx: never as it is, for example a wrong password."""
    return SendFailed(without(f"the mail server answered {code} {said}", post), is_final=code >= 500)


def _said(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
