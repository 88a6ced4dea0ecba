"""The web app of `tinyllm view`: pages on the live database, served by Datasette on this machine alone.

A request passes `access` (host, token, headers), then Datasette, which serves tables, SQL, CSV and JSON itself and
calls `plugin` for the pages. A page is a function of an open project and a request; it runs in a thread of `workers`.
"""
