"""The embedded stack: processes declared as data, one supervisor that keeps them, Prefect's API by HTTP.

Import the modules themselves; this package imports nothing, so that commands start fast.
"""
