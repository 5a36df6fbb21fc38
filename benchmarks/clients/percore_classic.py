"""Percore's `Session.fetch` with the key exchange groups that Go 1.19 offers: no post-quantum share, as there."""

from benchmarks.clients.percore_fetch import main

if __name__ == "__main__":
    main("X25519:P-256:P-384")
