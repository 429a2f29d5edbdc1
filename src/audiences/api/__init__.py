"""The handlers of the routes, a module a noun.

Who asks, how often, and with which scope is settled by `door.admit` before a handler is called and before the first
byte of a body is read; `route_table` says it for every route, and `queries` reads their parameters.
"""
