from app.cpu.checkpoint import checkpoint
from app.cpu.safe_points import no_preempt
from app.cpu.sliced import run_sliced

__all__ = ["checkpoint", "no_preempt", "run_sliced"]
