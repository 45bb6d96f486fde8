"""The gateway: Envoy on rename-swapped files, and the agent that keeps it equal to the wanted routes."""

from tidegate.gateway.agent import RouteSource, run_agent, serve
from tidegate.gateway.config import PROBE_CLIENT, ClientKey, GatewayConfig
from tidegate.gateway.envoy import find_envoy
from tidegate.gateway.render import render

__all__ = [
    "PROBE_CLIENT",
    "ClientKey",
    "GatewayConfig",
    "RouteSource",
    "find_envoy",
    "render",
    "run_agent",
    "serve",
]
