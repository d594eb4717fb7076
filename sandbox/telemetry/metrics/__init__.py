"""Prometheus metrics (docs/reference/metrics.md). The only package that imports ``prometheus_client``.

The other packages keep plain counters (:mod:`sandbox.net.instruments`). Metrics are made of them on each scrape, so
that they cost nothing without one, and several daemons can run in one process.
"""
