"""An extension whose initialisation crashes."""

import ctypes

ctypes.string_at(0)


def run(argument: bytes) -> bytes:
    return argument
