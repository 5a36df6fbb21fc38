"""Master: gunicorn's application object, told what to run by one conf file and by nothing else.

gunicorn's own command line reads options, GUNICORN_CMD_ARGS and the current folder as well. Here they would get
round the checks of `workers.serve`, and a folder named `app` where the user stands would pass for ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gunicorn.app.base import Application
from gunicorn.util import import_app


class Master(Application):
    def __init__(self, conf: Path) -> None:
        self._conf = conf
        super().__init__(prog="percore")

    def load_config(self) -> None:
        """Read the conf; again on HUP."""
        self.load_config_from_file(str(self._conf))

    def load(self) -> Any:
        """In a worker, after the patching: import the application."""
        return import_app(self.cfg.wsgi_app)
