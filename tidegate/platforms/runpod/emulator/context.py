"""What every route needs: the emulator, its fleet and its pods, and who is asking."""

from dataclasses import dataclass

from aiohttp import web

from tidegate.platforms.runpod.emulator.accounts import ApiKey
from tidegate.platforms.runpod.emulator.emulator import Emulator
from tidegate.platforms.runpod.emulator.fleet import Fleet
from tidegate.platforms.runpod.emulator.pods import PodKeeper


@dataclass(frozen=True)
class Context:
    emulator: Emulator
    fleet: Fleet
    pods: PodKeeper


CONTEXT = web.AppKey("context", Context)
KEY = "api_key"


def context_of(request: web.Request) -> Context:
    return request.app[CONTEXT]


def key_of(request: web.Request) -> ApiKey:
    """The key that the middleware has accepted."""
    return request[KEY]


def organization_of(request: web.Request) -> str:
    """The organization of the key that the middleware has accepted."""
    return key_of(request).organization
