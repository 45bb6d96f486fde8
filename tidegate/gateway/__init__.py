"""The gateway: Envoy on rename-swapped files, and the agent that keeps it equal to the wanted routes."""

from tidegate.gateway.agent import RouteSource
from tidegate.gateway.config import PROBE_CLIENT, ClientKey, GatewayConfig
from tidegate.gateway.envoy import find_envoy
from tidegate.gateway.equipment import Credentials
from tidegate.gateway.presence import DRAINED, renewal
from tidegate.gateway.render import render
from tidegate.gateway.serving import serve

__all__ = [
    "DRAINED",
    "PROBE_CLIENT",
    "ClientKey",
    "Credentials",
    "GatewayConfig",
    "RouteSource",
    "find_envoy",
    "render",
    "renewal",
    "serve",
]
