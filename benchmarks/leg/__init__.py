"""
The SSH leg beside its peers, in one run: the same ``ssh`` client, the same local server, the same visitors.

servers
    what is compared: OpenSSH's sshd, Conch as it comes, asyncssh, and ours.
conch_server, asyncssh_server
    the peers that are libraries, as processes.
edge_server, quick_core
    our edge by itself, with a core and a zone that say yes at once.
delay
    a relay that adds time each way.
loads
    what visitors do, and what it gives.
crowd
    many clients: set-up a second, memory of those that do nothing.
parts
    what is measured, part by part.
report
    medians, ratios, a table, JSON and a chart.

    python -m benchmarks.leg [--rounds 3] [--only throughput,requests,...] [--servers sshd,pinggy,...] [--out FOLDER]
"""
