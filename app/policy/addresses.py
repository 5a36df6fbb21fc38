"""Which addresses, schemes and ports may be contacted. Pure: what the resolver answered is handed in.

The laws:
- Only resolved addresses are judged, never the text of a URL: what is no canonical literal is denied.
- One denied answer denies the name. An attacker decides what else is in the answer, and in which order.
- The caller connects to a vetted address as returned here, and asks again on every hop and for every proxy.
- Each address lies in some block of the tables below; the smallest such block decides. The standard library's
  `is_global` and its kin decide nothing: they pass multicast, site-local and most forms that embed IPv4.
- IPv4-mapped IPv6 is decoded, judged and returned as IPv4. Every other form that embeds IPv4 is denied.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import msgspec

from app.errors import FetchError, SettingsError
from app.model.outcome import ErrorKind
from app.policy.urls import Origin
from app.settings import Settings

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

WEB_SCHEMES = frozenset({"http", "https"})
WEB_PORTS = frozenset({80, 443})

# The exemption of everything.
EVERYWHERE: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))

# The longest IPv6 literal, "%" and the longest name of a Linux interface (IFNAMSIZ less its NUL).
_MAX_CHARACTERS = 45 + 1 + 15
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}")


class Block(msgspec.Struct, frozen=True):
    """One address block.

    source              the RFC that sets it aside, or whoever else does
    globally_reachable  as the special-purpose registry has it, None where that says N/A or has no such block
    public              our decision: may be contacted
    """

    network: Network
    name: str
    source: str
    globally_reachable: bool | None
    public: bool

    @property
    def reason(self) -> str:
        """Why an address in it is denied, as messages give it."""
        return f"{self.name} ({self.source})"


def _public(network: str, name: str, source: str) -> Block:
    return Block(ip_network(network), name, source, globally_reachable=True, public=True)


def _inside(network: str, name: str, source: str) -> Block:
    """Not globally reachable: private, local, documentation, reserved."""
    return Block(ip_network(network), name, source, globally_reachable=False, public=False)


def _refused(network: str, name: str, source: str) -> Block:
    """The registry says N/A, or has no such block; docs/decisions/0008-address-policy.md says why we deny it."""
    return Block(ip_network(network), name, source, globally_reachable=None, public=False)


def _overruled(network: str, name: str, source: str) -> Block:
    """Globally reachable says the registry, and denied all the same, for the reasons given there."""
    return Block(ip_network(network), name, source, globally_reachable=True, public=False)


# IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190) up to RFC 9780 (2025), in their order
# and under their names. What is not from there: the first row, multicast, and where a comment says so.
IPV4_BLOCKS = (
    _public("0.0.0.0/0", "Unicast", "RFC 791"),
    _inside("0.0.0.0/8", "This network", "RFC 791"),
    _inside("0.0.0.0/32", "This host on this network", "RFC 1122"),
    _inside("10.0.0.0/8", "Private-Use", "RFC 1918"),
    _inside("100.64.0.0/10", "Shared Address Space", "RFC 6598"),
    _inside("127.0.0.0/8", "Loopback", "RFC 1122"),
    # Not registered, and not special anywhere but on Azure's machines: there it is the host that they run on.
    _refused("168.63.129.16/32", "Azure WireServer", "Microsoft"),
    _inside("169.254.0.0/16", "Link Local", "RFC 3927"),
    _inside("172.16.0.0/12", "Private-Use", "RFC 1918"),
    _inside("192.0.0.0/24", "IETF Protocol Assignments", "RFC 6890"),
    _inside("192.0.0.0/29", "IPv4 Service Continuity Prefix", "RFC 7335"),
    _inside("192.0.0.8/32", "IPv4 dummy address", "RFC 7600"),
    # The nearest box that offers the service answers, which is by design one's own gateway.
    _overruled("192.0.0.9/32", "Port Control Protocol Anycast", "RFC 7723"),
    _overruled("192.0.0.10/32", "Traversal Using Relays around NAT Anycast", "RFC 8155"),
    _inside("192.0.0.170/32", "NAT64/DNS64 Discovery", "RFC 8880"),
    _inside("192.0.0.171/32", "NAT64/DNS64 Discovery", "RFC 8880"),
    _inside("192.0.2.0/24", "Documentation (TEST-NET-1)", "RFC 5737"),
    _public("192.31.196.0/24", "AS112-v4", "RFC 7535"),
    _public("192.52.193.0/24", "AMT", "RFC 7450"),
    _refused("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", "RFC 7526"),
    _inside("192.88.99.2/32", "6a44-relay anycast address", "RFC 6751"),
    _inside("192.168.0.0/16", "Private-Use", "RFC 1918"),
    _public("192.175.48.0/24", "Direct Delegation AS112 Service", "RFC 7534"),
    _inside("198.18.0.0/15", "Benchmarking", "RFC 2544"),
    _inside("198.51.100.0/24", "Documentation (TEST-NET-2)", "RFC 5737"),
    _inside("203.0.113.0/24", "Documentation (TEST-NET-3)", "RFC 5737"),
    _refused("224.0.0.0/4", "Multicast", "RFC 5771"),
    _inside("240.0.0.0/4", "Reserved", "RFC 1112"),
    _inside("255.255.255.255/32", "Limited Broadcast", "RFC 8190"),
)

IPV6_BLOCKS = (
    # Only 2000::/3 is given out (IANA IPv6 Address Space), so whatever is new elsewhere is denied until it is known.
    _refused("::/0", "outside Global Unicast", "RFC 4291"),
    _public("2000::/3", "Global Unicast", "RFC 4291"),
    _refused("::/96", "IPv4-Compatible IPv6 Address", "RFC 4291"),  # deprecated, in no registry
    _inside("::1/128", "Loopback Address", "RFC 4291"),
    _inside("::/128", "Unspecified Address", "RFC 4291"),
    # Decoded before a look-up. The row is here so that nothing passes should that ever be forgotten.
    _inside("::ffff:0:0/96", "IPv4-mapped Address", "RFC 4291"),
    _refused("::ffff:0:0:0/96", "IPv4-translated Address", "RFC 2765"),  # obsolete, in no registry
    _overruled("64:ff9b::/96", "IPv4-IPv6 Translation", "RFC 6052"),
    _inside("64:ff9b:1::/48", "IPv4-IPv6 Translation", "RFC 8215"),
    _inside("100::/64", "Discard-Only Address Block", "RFC 6666"),
    _inside("100:0:0:1::/64", "Dummy IPv6 Prefix", "RFC 9780"),
    _inside("2001::/23", "IETF Protocol Assignments", "RFC 2928"),
    _refused("2001::/32", "TEREDO", "RFC 4380"),
    # As in IPv4: one's own gateway, or one's own network's registrar.
    _overruled("2001:1::1/128", "Port Control Protocol Anycast", "RFC 7723"),
    _overruled("2001:1::2/128", "Traversal Using Relays around NAT Anycast", "RFC 8155"),
    _overruled("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast", "RFC 9665"),
    _inside("2001:2::/48", "Benchmarking", "RFC 5180"),
    _public("2001:3::/32", "AMT", "RFC 7450"),
    _public("2001:4:112::/48", "AS112-v6", "RFC 7535"),
    _refused("2001:10::/28", "Deprecated (previously ORCHID)", "RFC 4843"),
    # Names of keys and of drones in the form of addresses: only an overlay, run at home, can lead to them.
    _overruled("2001:20::/28", "ORCHIDv2", "RFC 7343"),
    _overruled("2001:30::/28", "Drone Remote ID Protocol Entity Tags Prefix", "RFC 9374"),
    _inside("2001:db8::/32", "Documentation", "RFC 3849"),
    _refused("2002::/16", "6to4", "RFC 3056"),
    _public("2620:4f:8000::/48", "Direct Delegation AS112 Service", "RFC 7534"),
    _inside("3fff::/20", "Documentation", "RFC 9637"),
    _inside("5f00::/16", "Segment Routing (SRv6) SIDs", "RFC 9602"),
    _inside("fc00::/7", "Unique-Local", "RFC 4193"),
    _inside("fe80::/10", "Link-Local Unicast", "RFC 4291"),
    _refused("fec0::/10", "Site-Local Unicast", "RFC 3879"),  # deprecated, in no registry
    _refused("ff00::/8", "Multicast", "RFC 4291"),
)


class Denial(msgspec.Struct, frozen=True):
    """Why a name is denied.

    address  the first denied answer, printable and short; empty when there was no answer
    reason   the block with its source, or what else is wrong
    """

    address: str
    reason: str

    @property
    def message(self) -> str:
        """One line for whoever asked for the URL. Not the address: that would map the inner network for them."""
        return f"the address may not be contacted: {self.reason}" if self.address else self.reason

    @property
    def detail(self) -> str:
        """One line for the operator's log, with the address."""
        return f"{self.address} may not be contacted: {self.reason}" if self.address else self.reason

    def error(self) -> FetchError:
        """The exception that says so, of kind ADDRESS_DENIED."""
        return FetchError(ErrorKind.ADDRESS_DENIED, self.message)


class Decision(msgspec.Struct, frozen=True):
    """Either `vetted` addresses, normalised and in the order given, or none and the `denial`."""

    vetted: tuple[str, ...] = ()
    denial: Denial | None = None


class AddressPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What may be contacted.

    allow    networks whose addresses pass whatever the tables say (the operator's own)
    schemes  lower case
    ports    None for all
    """

    allow: tuple[Network, ...] = ()
    schemes: frozenset[str] = WEB_SCHEMES
    ports: frozenset[int] | None = None

    @classmethod
    def allow_all(cls) -> AddressPolicy:
        """No limits on addresses and ports: a library's or a batch's default."""
        return cls(allow=EVERYWHERE)

    @classmethod
    def public_only(cls, *, allow: tuple[Network, ...] = (), ports: frozenset[int] | None = WEB_PORTS) -> AddressPolicy:
        """Public addresses, and those in `allow`, on `ports`: the service's default."""
        return cls(allow=allow, ports=ports)

    def decide(self, addresses: Sequence[str]) -> Decision:
        """Judge all that the resolver answered for one name; never raises."""
        if not addresses:
            return Decision(denial=Denial("", "the name has no address"))
        vetted = []
        for text in addresses:
            # Before the cache, which would keep 4,096 of whatever length.
            verdict = _judge(text) if len(text) <= _MAX_CHARACTERS else _UNREADABLE
            if verdict.reason is not None and not self._is_exempt(verdict.address):
                return Decision(denial=Denial(verdict.text or ascii(text[:_MAX_CHARACTERS]), verdict.reason))
            vetted.append(verdict.text)
        return Decision(tuple(vetted))

    def vet(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """The vetted addresses. Raises FetchError of kind ADDRESS_DENIED; its message does not name the address."""
        decision = self.decide(addresses)
        if decision.denial is not None:
            raise decision.denial.error()
        return decision.vetted

    def check_origin(self, origin: Origin) -> None:
        """Raise FetchError of kind UNSUPPORTED_SCHEME or ADDRESS_DENIED (the port) unless `origin` may be contacted.

        Its host is not looked at: call `decide` with what it resolves to.
        """
        self.check_port(origin.scheme, origin.port)

    def check_port(self, scheme: str, port: int) -> None:
        """As `check_origin`, for who has taken the URL apart already."""
        if scheme not in self.schemes:
            raise FetchError(ErrorKind.UNSUPPORTED_SCHEME, f"scheme {scheme!a} may not be used")
        if self.ports is not None and port not in self.ports:
            raise FetchError(ErrorKind.ADDRESS_DENIED, f"port {port} may not be contacted")

    def _is_exempt(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.allow)


def parse_allowed(text: str) -> tuple[Network, ...]:
    """Networks from a comma list such as `10.1.0.0/16, fd00::/8, 192.168.1.5`; `all` for every address, or nothing.

    Raises SettingsError, which does not know the variable's name, for anything else.
    """
    if text.strip() == "all":
        return EVERYWHERE
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def parse_ports(text: str) -> frozenset[int] | None:
    """Ports from a comma list such as `80, 443`; None, which is all of them, for `all`.

    Raises SettingsError, which does not know the variable's name, for anything else, nothing included.
    """
    if text.strip() == "all":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) <= 5 and int(part) <= 65_535 for part in parts):
        raise SettingsError(f"{text!a} is no list of ports; write 80,443 or all")
    return frozenset(map(int, parts))


def service_policy(settings: Settings) -> AddressPolicy:
    """What the service may contact. Raises SettingsError that names the variable."""
    try:
        allow = parse_allowed(settings.allow_private)
    except SettingsError as error:
        raise SettingsError(f"PERCORE_ALLOW_PRIVATE: {error}") from None
    try:
        ports = parse_ports(settings.allow_ports)
    except SettingsError as error:
        raise SettingsError(f"PERCORE_ALLOW_PORTS: {error}") from None
    return AddressPolicy.public_only(allow=allow, ports=ports)


def _network(text: str) -> Network:
    _, slash, prefix = text.partition("/")
    # The standard library also takes netmasks, and 0.0.0.0 both as a netmask and as a hostmask.
    if (slash and not prefix.isdecimal()) or "%" in text:
        raise SettingsError(f"{text!a} is no network; write 10.0.0.0/8, fd00::/8, a single address, or all")
    try:
        network = ip_network(text)
    except ValueError as error:
        raise SettingsError(f"not a network: {error}") from None
    if network.version == 6 and network.prefixlen >= 96 and _is_mapped(int(network.network_address)):
        raise SettingsError(f"{text} is IPv4-mapped and would match nothing; write it as an IPv4 network")
    return network


class _Verdict(msgspec.Struct, frozen=True):
    """`reason` is None for what is public; `address` None (and `text` empty) for what can't be read."""

    text: str
    address: Address | None
    reason: str | None


_UNREADABLE = _Verdict("", None, "not an IP address in its canonical form")


@lru_cache(maxsize=4096)
def _judge(text: str) -> _Verdict:
    bare, percent, zone = text.partition("%")
    try:
        address = ip_address(bare)
    except ValueError:
        return _UNREADABLE
    if isinstance(address, IPv6Address) and _is_mapped(int(address)):
        address = IPv4Address(int(address) & 0xFFFF_FFFF)
    reason = _reason(address)
    if not percent:
        return _Verdict(str(address), address, reason)
    if isinstance(address, IPv4Address) or not _ZONE.fullmatch(zone):
        return _UNREADABLE
    # A zone picks one of our own interfaces; no public address needs that.
    return _Verdict(f"{address}%{zone}", address, reason or "an address with a zone (RFC 4007)")


def _reason(address: Address) -> str | None:
    number = int(address)
    edges, blocks = _IPV4_RANGES if isinstance(address, IPv4Address) else _IPV6_RANGES
    block = blocks[bisect_right(edges, number) - 1]
    if not block.public:
        return block.reason
    # The interface identifier 0[02]00:5efe:a.b.c.d stands for IPv4 under any prefix, so no block can hold it.
    if isinstance(address, IPv6Address) and (number >> 32) & 0xFDFF_FFFF == 0x0000_5EFE:
        return "ISATAP (RFC 5214)"
    return None


def _is_mapped(number: int) -> bool:
    return number >> 32 == 0xFFFF


def _flatten(blocks: Iterable[Block]) -> tuple[list[int], list[Block]]:
    """Nested blocks as a sorted row of disjoint ranges: where each begins, and the smallest block around it."""
    smallest_first = sorted(blocks, key=lambda block: -block.network.prefixlen)
    spans = [(int(block.network[0]), int(block.network[-1]), block) for block in smallest_first]
    beyond = spans[-1][1] + 1  # the last block is the whole family
    edges = sorted({first for first, _, _ in spans} | {last + 1 for _, last, _ in spans} - {beyond})
    return edges, [next(block for first, last, block in spans if first <= edge <= last) for edge in edges]


_IPV4_RANGES = _flatten(IPV4_BLOCKS)
_IPV6_RANGES = _flatten(IPV6_BLOCKS)
