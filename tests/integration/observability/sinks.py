"""What stands for the people: a mail server and a server of webhooks on loopback, which keep what arrives, and for whom."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass(frozen=True)
class Told:
    """One alert in one webhook call of Tidegate."""

    alert: str
    is_resolved: bool
    org: str | None
    service: str | None
    labels: dict[str, str]


@dataclass
class People:
    """Everybody whom somebody may tell something."""

    smtp_port: int
    http: str = ""
    told: dict[str, list[Told]] = field(default_factory=dict[str, list[Told]])
    """By path of the webhook, without its slash."""
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list[tuple[str, EmailMessage]])

    def heard(self, whom: str, *, resolved: bool = False) -> set[str]:
        """Names of alerts."""
        return {one.alert for one in self.told.get(whom, ()) if one.is_resolved is resolved}

    def mailed(self, mailbox: str) -> list[EmailMessage]:
        return [mail for to, mail in self.mails if to == mailbox]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        mail: Any = message_from_bytes(envelope.content, policy=default)
        self.mails += [(to, mail) for to in envelope.rcpt_tos]
        return "250 kept"

    def hear(self, whom: str, body: dict[str, Any]) -> None:
        for event in body["events"]:
            labels = event["data"]["labels"]
            one = Told(labels["alertname"], event["is_resolved"], event["org"], event["service"], labels)
            self.told.setdefault(whom, []).append(one)


@contextmanager
def people(smtp_port: int) -> Iterator[People]:
    """Listen until the end of the block."""
    made = People(smtp_port=smtp_port)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.hear(self.path.removeprefix("/"), body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.http = f"http://127.0.0.1:{server.server_address[1]}"
        mailing = Controller(made, hostname="127.0.0.1", port=made.smtp_port)
        mailing.start()
        listening = threading.Thread(target=server.serve_forever, args=(0.05,))
        listening.start()
        try:
            yield made
        finally:
            server.shutdown()
            listening.join()
            mailing.stop()
