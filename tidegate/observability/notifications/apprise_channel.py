"""Chats and desktops through Apprise: the only module that knows it. It is loaded when a message needs it."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tidegate.domain.events import Severity
from tidegate.domain.plain import chat_text
from tidegate.observability.notifications.guarding import guarded
from tidegate.observability.notifications.network import TALK_S, Resolver, pin, resolve
from tidegate.observability.notifications.sending import Post, SendFailed

if TYPE_CHECKING:
    from apprise import Apprise

DESKTOP_SCHEMES = frozenset({"dbus", "glib", "gnome", "kde", "macosx", "qt", "windows"})
REFUSED_SCHEMES = frozenset({"file", "mailto", "mailtos", "syslog", "rsyslog", "exec", "blink1"})
DEFAULT_DESKTOP = "dbus://"
UNGUARDED_SCHEMES = frozenset({"irc", "ircs", "mqtt", "mqtts", "smpp", "smpps"})
"""They connect past urllib3: what their names lead to cannot be held to what was looked at."""
FILE_PARAMETERS = frozenset({"template", "keyfile", "subfile", "pgpkey", "pgppub", "pgpprv"})
HTTPS = 443
LOGS_WITH_ADDRESSES = ("apprise", "urllib3")
"""Silenced: URLs of chats hold tokens. Nothing else here uses the second one."""
MAX_CHAT_TEXT = 3500
UNKNOWN = (
    "Apprise does not know this address, or lacks what it needs on this machine; "
    "how it is written: https://github.com/caronc/apprise/wiki"
)
KINDS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}


class AppriseSender:
    """One URL of Apprise a message. Apprise says yes, no, or `None`, which means that it had nobody to tell."""

    def __init__(
        self,
        make: Callable[[str], "Apprise"] | None = None,
        resolver: Resolver = resolve,
        talk_s: float = TALK_S,
    ):
        self._make = make or _apprise
        self._resolver = resolver
        self._talk_s = talk_s

    def send(self, post: Post, begin: Callable[[], None]) -> str:
        url = post.address if "address" in post.secrets else DEFAULT_DESKTOP
        _check_scheme(url, is_desktop=post.channel.kind == "desktop")
        _check_files(url)
        if url.partition("://")[0].lower() in UNGUARDED_SCHEMES and not post.channel.allow_private:
            raise SendFailed("this kind of chat needs `allow_private: true` on the channel", is_final=True)
        targets = self._make(url)
        if not len(targets):
            raise SendFailed(UNKNOWN, is_final=True)
        if len(targets) > 1:
            raise SendFailed("it is more than one address: make a channel of each", is_final=True)
        for target in targets:
            self._check_host(target, allow_private=post.channel.allow_private)
        begin()
        return self._told(targets, post)

    def _told(self, targets: "Apprise", post: Post) -> str:
        is_over = all(event.is_resolved for event in post.message.events)
        text = post.message.text
        with guarded(self._resolver, self._talk_s, allow_private=post.channel.allow_private) as guard:
            told = targets.notify(
                title=chat_text(post.message.subject),
                body=chat_text(text if len(text) <= MAX_CHAT_TEXT else f"{text[:MAX_CHAT_TEXT]}\n..."),
                notify_type=_notify_type("success" if is_over else KINDS[post.message.severity]),
                # Text, whatever the chat speaks: Telegram takes HTML, and refuses a message for a bare `<` in it.
                body_format="text",  # pyright: ignore[reportArgumentType]
            )
        if told is None:
            raise SendFailed(UNKNOWN, is_final=True)
        if not told:
            raise guard.refusal or SendFailed("the chat refused it, or was not reached")
        return "told"

    def _check_host(self, target: Any, *, allow_private: bool) -> None:
        """Services on a host of one's own (Mattermost, ...) are looked at; those of a vendor are where the vendor is."""
        host = getattr(target, "host", None)
        if host and "host" in target.template_tokens:
            port = int(getattr(target, "port", None) or HTTPS)
            try:
                pin(str(host), port, allow_private=allow_private, resolver=self._resolver)
            except SendFailed as error:
                # A bare word that leads nowhere is a name at the vendor's, for example a topic of ntfy.
                if error.is_final or "." in str(host):
                    raise


def _check_scheme(url: str, *, is_desktop: bool) -> None:
    scheme = url.partition("://")[0].lower()
    if is_desktop and scheme not in DESKTOP_SCHEMES:
        raise SendFailed("its address is none of a desktop, for example dbus://", is_final=True)
    if not is_desktop and scheme in DESKTOP_SCHEMES | REFUSED_SCHEMES:
        raise SendFailed("its address is none of a chat", is_final=True)


def _check_files(url: str) -> None:
    """Some services send a file of this machine as a message's form, or read a key from one: not an organization's to
    choose."""
    for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items():
        if name.lower().lstrip("+-:") in FILE_PARAMETERS and any(
            set(value) & set("/\\.") for value in values
        ):
            raise SendFailed(f"its parameter '{name.lower()}' names a file, which none may", is_final=True)


def _apprise(url: str) -> "Apprise":
    from apprise import Apprise, AppriseAsset, PersistentStoreMode

    for name in LOGS_WITH_ADDRESSES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    asset = AppriseAsset(app_id="Tidegate", storage_mode=PersistentStoreMode.MEMORY, plugin_paths=[])
    made = Apprise(asset=asset)
    made.add(url)  # pyright: ignore[reportUnknownMemberType]
    return made


def _notify_type(name: str) -> Any:
    from apprise import NotifyType

    return NotifyType(name)
