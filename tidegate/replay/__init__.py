"""Sampled requests of clients: taken at the gateway, redacted, sealed, and asked again of two versions in pairs.

Names are loaded when they are first used: who lists what is kept needs no client, and who judges needs no server.
"""
