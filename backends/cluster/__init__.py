"""Work on a Ray cluster: the connection to it, and teachers that run there as replicas.

Ray is imported when a command asks for a cluster, by `session` alone.
"""
