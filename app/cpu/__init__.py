from typing import TYPE_CHECKING

from app.lazy import lazily

if TYPE_CHECKING:
    from app.cpu.cooperation import checkpoint, no_preempt
    from app.cpu.sliced import run_sliced
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "checkpoint": "app.cpu.cooperation",
            "no_preempt": "app.cpu.cooperation",
            "run_sliced": "app.cpu.sliced",
        },
    )

__all__ = ["checkpoint", "no_preempt", "run_sliced"]
