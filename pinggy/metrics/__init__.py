"""
Numbers for Prometheus: what a daemon shows of itself, and the port that it shows it at.

Each daemon has one class of its metrics (``core/metrics.py``, ``edge/metrics.py``, ``gate/metrics.py``), whose methods
are named by what has happened; only this folder knows prometheus_client. What is known anyway is not counted a second
time but read when somebody asks (``readings.py`` of each). A label is one of few words that we have chosen, or an edge
of the operator's: never a tunnel, a name, an account or somebody's address.
"""

from prometheus_client import disable_created_metrics

# A second series for each counter, which says when it began: Prometheus sees a counter begin anew without it.
disable_created_metrics()
