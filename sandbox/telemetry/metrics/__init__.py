"""What Prometheus reads (docs/reference/metrics.md). The only room that knows ``prometheus_client``.

The parts of the daemon keep plain counts (:mod:`sandbox.net.instruments`) and do not know this room. It reads them when
somebody asks: nothing is paid for metrics that nobody reads, and several daemons can live in one process.
"""
