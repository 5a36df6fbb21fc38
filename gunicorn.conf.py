"""gunicorn's knobs and hooks: one worker per usable core, pinned to it.

Runs in gunicorn's master, unpatched land: whatever is imported here is imported before the workers patch the
standard library, so only what does no I/O belongs here. gunicorn runs this file again on HUP, in the same master.
No allocator is kept between the hooks: which cores are in use is read off the live workers each time
(docs/decisions/0004-cores-are-derived-not-stored.md).
"""

import math as _math
import os as _os
from contextlib import suppress as _suppress
from pathlib import Path as _Path
from tempfile import gettempdir as _gettempdir

from app.policy.cpu_list import format_cpus as _format_cpus
from app.settings import Settings as _Settings
from app.telemetry import shared as _shared
from workers import affinity as _affinity
from workers.descriptors import raise_limit as _raise_limit
from workers.listen import refuse_beyond_loopback as _refuse_beyond_loopback
from workers.topology import read_topology as _read_topology

_settings = _Settings.from_env()
_topology = _read_topology()
_order = _affinity.core_order(_topology)
_pinned = _affinity.should_pin(_settings.pin, _topology)

# What runs.
wsgi_app = "app.wsgi:application"
worker_class = "workers.pinned.PinnedWorker"
workers = _affinity.worker_count(_topology) if _settings.workers == "auto" else _settings.workers
proc_name = "percore"
preload_app = False  # the application must be imported after the patching
control_socket_disable = True  # an asyncio thread in the master, for nothing that signals don't do

# Where it listens, and for whom.
bind = _settings.bind
worker_connections = 1000  # per worker, idle ones included; more wait in the listener's queue
keepalive = 75  # seconds; longer than nginx keeps an idle upstream connection (60), so that nginx is who ends it

# How it stops. The worker drains for drain_timeout_s, then has 2 s to cut off what is left and go; then SIGKILL.
graceful_timeout = _math.ceil(_settings.drain_timeout_s) + 2
# The worker's deadman speaks first and says where it hung. Both count from the same heartbeat; the 10 s are for
# writing the tracebacks on a machine that is overloaded. This one is left for a worker whose deadman is dead.
timeout = _math.ceil(_settings.deadman_s) + 10
# The heartbeat touches a file: in memory, or a slow disk would look like a stuck worker.
worker_tmp_dir = "/dev/shm" if _os.access("/dev/shm", _os.W_OK) else None  # noqa: S108

# Where workers tell each other what they have counted. Named after the master: HUP finds it again, a successor has
# its own.
_metrics_parent = _Path(worker_tmp_dir or _gettempdir())

# What it says, on stderr. nginx keeps the access log.
errorlog = "-"
loglevel = _settings.log_level
accesslog = None


def on_starting(server):
    """Hold the promise whoever started gunicorn, and with whatever options."""
    for address in server.cfg.address:
        _refuse_beyond_loopback(address)


def when_ready(server):
    """Before the first worker: the folder for their metrics. Without one each speaks for itself."""
    try:
        server.metrics_dir = _shared.make_folder(_metrics_parent, server.pid)
    except OSError as error:
        server.metrics_dir = None
        server.log.warning("/metrics will be one worker's at a time: %s", error)


def pre_fork(server, worker):
    """In the master: the worker's orders. A worker that is gone is no longer in WORKERS, so its core is free."""
    _retire_metrics(server)
    worker.drain_timeout_s = _settings.drain_timeout_s
    worker.deadman_s = _settings.deadman_s
    if _pinned:
        worker.core = _affinity.choose_core(_order, (other.core for other in server.WORKERS.values()))


def post_fork(server, worker):
    """In the worker, still unpatched: keep the wide mask for code that must not be pinned, then pin."""
    _raise_limit()
    _os.environ["PERCORE_WORKERS"] = str(server.num_workers)  # for the delay that they keep together
    _os.environ[_affinity.WIDE_CPUS] = _format_cpus(_os.sched_getaffinity(0))
    _os.environ["PERCORE_METRICS_DIR"] = str(server.metrics_dir or "")
    if worker.core is None:
        return
    fault = _affinity.pin(worker.pid, worker.core)
    if fault is None:
        worker.log.info("Worker %s is pinned to core %d", worker.pid, worker.core)
    else:
        worker.log.warning("Worker %s runs unpinned, core %d can't be had: %s", worker.pid, worker.core, fault)


def child_exit(server, worker):
    """In the master, after a worker's end."""
    _retire_metrics(server)
    if worker.core is not None:
        server.log.info("Core %d is left by worker %s", worker.core, worker.pid)


def _retire_metrics(server):
    """Of workers that are gone. Derived from who is there, as cores are: gunicorn does not call child_exit for all."""
    if server.metrics_dir is not None:
        with _suppress(OSError):
            _shared.retire(server.metrics_dir, server.WORKERS.keys())


def on_exit(server):
    """In the master, last of all; also of one that did not get far enough to have such a folder."""
    folder = getattr(server, "metrics_dir", None)
    if folder is not None:
        _shared.remove_folder(folder)
