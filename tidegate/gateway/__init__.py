"""The gateway: Envoy on rename-swapped files, and the agent that keeps it equal to the wanted routes."""

from tidegate.gateway.agent import Credentials, RouteSource, serve
from tidegate.gateway.config import PROBE_CLIENT, ClientKey, GatewayConfig
from tidegate.gateway.envoy import find_envoy
from tidegate.gateway.render import render

__all__ = [
    "PROBE_CLIENT",
    "ClientKey",
    "Credentials",
    "GatewayConfig",
    "RouteSource",
    "find_envoy",
    "render",
    "serve",
]
