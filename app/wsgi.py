"""The WSGI entry point that gunicorn.conf.py names. Imported by a worker, after it has patched the standard library."""

from __future__ import annotations

from app.assembly import build_application
from app.settings import Settings
from app.telemetry.log import configure

_settings = Settings.from_env()
configure(_settings.log_level)

application = build_application(_settings)
