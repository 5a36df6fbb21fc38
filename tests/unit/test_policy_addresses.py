from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import FetchError, SettingsError
from app.model.outcome import ErrorKind
from app.policy.addresses import (
    EVERYWHERE,
    IPV4_BLOCKS,
    IPV6_BLOCKS,
    Address,
    AddressPolicy,
    Block,
    parse_allowed,
)
from app.policy.urls import Origin, origin_of

STRICT = AddressPolicy.public_only()
BLOCKS = IPV4_BLOCKS + IPV6_BLOCKS
MAPPED = ip_network("::ffff:0:0/96")

# What the standard library, or some version of it, calls not global and we contact all the same: the registry
# has these as globally reachable, and `ipaddress` has known exceptions inside 2001::/23 only since 3.13.
MORE_OPEN_THAN_THE_LIBRARY = [ip_network("2001:3::/32"), ip_network("2001:4:112::/48")]


def denied(address: str, policy: AddressPolicy = STRICT) -> bool:
    decision = policy.decide([address])
    assert bool(decision.vetted) == (decision.denial is None)
    return decision.denial is not None


def reason(address: str) -> str:
    denial = STRICT.decide([address]).denial
    assert denial is not None
    return denial.reason


def smallest_block(address: Address) -> Block:
    """The same look-up as the policy's, done the slow and plain way."""
    if address in MAPPED:
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    around = [block for block in BLOCKS if address in block.network]
    return max(around, key=lambda block: block.network.prefixlen)


def edges(block: Block) -> Iterator[Address]:
    kind = type(block.network.network_address)
    first, last = int(block.network[0]), int(block.network[-1])
    for number in (first - 1, first, (first + last) // 2, last, last + 1):
        if 0 <= number < 2**block.network.max_prefixlen:
            yield kind(number)


# Written out by hand, not taken from the table. The metadata of clouds is among them: 100.100.100.200,
# 168.63.129.16, 169.254.169.254, 192.0.0.192 and fd00:ec2::254.
DENIED = {
    "This host on this network (RFC 1122)": "0.0.0.0",
    "This network (RFC 791)": "0.1.2.3",
    "Private-Use (RFC 1918)": "10.0.0.1 172.31.255.255 192.168.1.1",
    "Shared Address Space (RFC 6598)": "100.64.0.1 100.100.100.200",
    "Loopback (RFC 1122)": "127.0.0.1 127.255.255.254 ::ffff:7f00:1",
    "Azure WireServer (Microsoft)": "168.63.129.16",
    "Link Local (RFC 3927)": "169.254.169.254 ::ffff:169.254.169.254",
    "IPv4 Service Continuity Prefix (RFC 7335)": "192.0.0.1",
    "IPv4 dummy address (RFC 7600)": "192.0.0.8",
    "Port Control Protocol Anycast (RFC 7723)": "192.0.0.9 2001:1::1",
    "Traversal Using Relays around NAT Anycast (RFC 8155)": "192.0.0.10 2001:1::2",
    "NAT64/DNS64 Discovery (RFC 8880)": "192.0.0.170 192.0.0.171",
    "IETF Protocol Assignments (RFC 6890)": "192.0.0.192",
    "Documentation (TEST-NET-1) (RFC 5737)": "192.0.2.1",
    "Deprecated (6to4 Relay Anycast) (RFC 7526)": "192.88.99.1",
    "6a44-relay anycast address (RFC 6751)": "192.88.99.2",
    "Benchmarking (RFC 2544)": "198.19.255.255",
    "Documentation (TEST-NET-2) (RFC 5737)": "198.51.100.1",
    "Documentation (TEST-NET-3) (RFC 5737)": "203.0.113.1",
    "Multicast (RFC 5771)": "224.0.0.1 239.255.255.255",
    "Reserved (RFC 1112)": "240.0.0.1",
    "Limited Broadcast (RFC 8190)": "255.255.255.255",
    "Unspecified Address (RFC 4291)": "::",
    "Loopback Address (RFC 4291)": "::1",
    "IPv4-Compatible IPv6 Address (RFC 4291)": "::7f00:1 ::127.0.0.1 ::8.8.8.8",
    "IPv4-translated Address (RFC 2765)": "::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8",
    "outside Global Unicast (RFC 4291)": "::1:0:7f00:1 64:ff9b:2::1 1fff:ffff::1 4000::1 fe00::1",
    "IPv4-IPv6 Translation (RFC 6052)": "64:ff9b::7f00:1 64:ff9b::808:808",
    "IPv4-IPv6 Translation (RFC 8215)": "64:ff9b:1::7f00:1",
    "Discard-Only Address Block (RFC 6666)": "100::1",
    "Dummy IPv6 Prefix (RFC 9780)": "100:0:0:1::1",
    "TEREDO (RFC 4380)": "2001::7f00:1",
    "IETF Protocol Assignments (RFC 2928)": "2001:1:: 2001:1ff:ffff::1",
    "DNS-SD Service Registration Protocol Anycast (RFC 9665)": "2001:1::3",
    "Benchmarking (RFC 5180)": "2001:2::1",
    "Deprecated (previously ORCHID) (RFC 4843)": "2001:10::1",
    "ORCHIDv2 (RFC 7343)": "2001:20::1",
    "Drone Remote ID Protocol Entity Tags Prefix (RFC 9374)": "2001:30::1",
    "Documentation (RFC 3849)": "2001:db8::1",
    "6to4 (RFC 3056)": "2002:7f00:1:: 2002:808:808::1",
    "ISATAP (RFC 5214)": "2606:4700::5efe:7f00:1 2606:4700::200:5efe:10.0.0.1",
    "Documentation (RFC 9637)": "3fff::1",
    "Segment Routing (SRv6) SIDs (RFC 9602)": "5f00::1",
    "Unique-Local (RFC 4193)": "fc00::1 fd00:ec2::254",
    "Link-Local Unicast (RFC 4291)": "fe80::1 fe80::1%eth0",
    "Site-Local Unicast (RFC 3879)": "fec0::1",
    "Multicast (RFC 4291)": "ff02::1 ff0e::1",
    "an address with a zone (RFC 4007)": "2606:4700::1111%eth0",
}


@pytest.mark.parametrize(("why", "texts"), DENIED.items(), ids=DENIED)
def test_denied(why: str, texts: str) -> None:
    for address in texts.split():
        assert reason(address) == why, address


PUBLIC = """
1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15 168.63.129.17
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.31.196.1 192.52.193.1 192.167.255.255
192.169.0.0 192.175.48.1 198.17.255.255 198.20.0.0 223.255.255.255 2000:: 2001:3::1 2001:4:112::1 2001:200::1
2606:4700::5eff:7f00:1 2606:4700::400:5efe:7f00:1 2620:4f:8000::1 3fff:1000::
"""


@pytest.mark.parametrize(
    ("address", "normalised"),
    [
        *[(address, address) for address in PUBLIC.split()],
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("::FFFF:808:808", "8.8.8.8"),
        ("2001:4860:4860:0:0:0:0:8888", "2001:4860:4860::8888"),
        ("2A00:1450::", "2a00:1450::"),
    ],
)
def test_vetted_in_its_normal_form(address: str, normalised: str) -> None:
    assert STRICT.decide([address]).vetted == (normalised,)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.network}")
def test_every_block_begins_and_ends_where_the_table_says(block: Block) -> None:
    for address in edges(block):
        smallest = smallest_block(address)
        assert denied(str(address)) != smallest.public, address
        if not smallest.public:
            assert reason(str(address)) == smallest.reason


def test_only_the_registrys_reachable_blocks_are_public_and_these_are_overruled() -> None:
    assert all(block.globally_reachable for block in BLOCKS if block.public)
    assert {str(block.network) for block in BLOCKS if block.globally_reachable and not block.public} == {
        "64:ff9b::/96",
        "192.0.0.9/32",
        "192.0.0.10/32",
        "2001:1::1/128",
        "2001:1::2/128",
        "2001:1::3/128",
        "2001:20::/28",
        "2001:30::/28",
    }


def test_no_block_is_there_twice() -> None:
    assert len({block.network for block in BLOCKS}) == len(BLOCKS)


# Random numbers alone would hardly ever hit a block.
in_blocks = st.sampled_from(BLOCKS).flatmap(
    lambda block: st.integers(int(block.network[0]), int(block.network[-1])).map(type(block.network[0]))
)
addresses = st.one_of(in_blocks, st.ip_addresses())


@given(addresses)
@example(IPv6Address("64:ff9b::7f00:1"))
@example(IPv6Address("2002:7f00:1::"))
@example(IPv6Address("::7f00:1"))
@example(IPv6Address("fec0::1"))
@example(IPv6Address("ff02::1"))
@example(IPv4Address("224.0.0.1"))
def test_what_the_library_calls_special_is_denied(address: Address) -> None:
    # Multicast counts as global there, and so do most forms that embed IPv4: these are the other tests' matter.
    special = not address.is_global or address.is_multicast or address.is_reserved
    if address in MAPPED:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
        special = not inner.is_global or inner.is_multicast or inner.is_reserved
    if special and not any(address in network for network in MORE_OPEN_THAN_THE_LIBRARY):
        assert denied(str(address))


@given(addresses)
def test_the_smallest_block_decides(address: Address) -> None:
    isatap = isinstance(address, IPv6Address) and (int(address) >> 32) & 0xFDFFFFFF == 0x5EFE
    assert denied(str(address)) != (smallest_block(address).public and not isatap)


@given(st.one_of(st.ip_addresses(v=4), in_blocks.filter(lambda address: address.version == 4)))
def test_mapped_addresses_are_judged_and_returned_as_ipv4(address: IPv4Address) -> None:
    decision = STRICT.decide([str(address)])
    assert STRICT.decide([f"::ffff:{address}"]) == decision
    assert STRICT.decide([f"0:0:0:0:0:FFFF:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"]) == decision


@given(
    st.ip_addresses(v=4),
    st.sampled_from(["::{}", "::ffff:0:{}", "64:ff9b::{}", "64:ff9b:1::{}", "2606:4700::5efe:{}"]),
)
def test_no_other_form_that_embeds_ipv4_passes(inner: IPv4Address, form: str) -> None:
    number = int(inner)
    assert denied(form.format(inner))
    assert denied(f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1")
    assert denied(f"2001:0:{number >> 16:x}:{number & 0xFFFF:x}::1")
    assert denied(f"2001::{~number >> 16 & 0xFFFF:x}:{~number & 0xFFFF:x}")


@given(st.lists(addresses.map(str), min_size=1, max_size=6))
def test_one_denied_answer_denies_the_name(answers: list[str]) -> None:
    bad = [answer for answer in answers if denied(answer)]
    if bad:
        assert STRICT.decide(answers) == STRICT.decide([bad[0]])
    else:
        assert STRICT.vet(answers) == tuple(STRICT.vet([answer])[0] for answer in answers)


# Up to the circled digit, all are 127.0.0.1 to one resolver or another.
NOT_CANONICAL = """
2130706433 0x7f000001 0x7f.1 127.1 127.0.1 0177.0.0.1 127.0.0.01 127.0.0.1. １２７.０.０.１ 127。0。0。1
①27.0.0.1 127.0.0.256 ٨.8.8.8 ::１ [::1] ::1/128 8.8.8.8/32 8.8.8.8:80 8.8.8.8%eth0 ::ffff:8.8.8.8%eth0
fe80::1% fe80::1%a%b fe80::1%a,b fe80::1%xxxxxxxxxxxxxxxx 1:2:3:4:5:6:7 1::2::3 12345:: localhost example.com -1
"""
WITH_BLANKS = ["", " 8.8.8.8", "8.8.8.8\n", "8.8.8.8\0", "fe80::1%a b", "fe80::1%eth0\r\n", "8" * 100_000]


@pytest.mark.parametrize("policy", [STRICT, AddressPolicy.allow_all()], ids=["public_only", "allow_all"])
@pytest.mark.parametrize("text", [*NOT_CANONICAL.split(), *WITH_BLANKS], ids=lambda text: ascii(text[:24]))
def test_what_is_no_canonical_address_is_denied_whatever_is_allowed(text: str, policy: AddressPolicy) -> None:
    denial = policy.decide([text]).denial
    assert denial is not None
    assert denial.reason == "not an IP address in its canonical form"
    # Not to be taken for the absence of an answer, nor able to break the log's line.
    assert denial.address.isascii()
    assert denial.address.isprintable()
    assert 1 < len(denial.address) < 1000


def test_no_answer_is_denied() -> None:
    for policy in (STRICT, AddressPolicy.allow_all()):
        denial = policy.decide([]).denial
        assert denial is not None
        assert denial.message == denial.detail == "the name has no address"


def test_a_string_is_not_taken_for_its_addresses() -> None:
    assert STRICT.decide("8.8.8.8").denial is not None


@given(st.one_of(st.text(), st.text(alphabet="0123456789abcdefx.:%/[] \n", max_size=48)))
def test_any_text_gets_a_decision(text: str) -> None:
    for policy in (STRICT, AddressPolicy.allow_all()):
        for vetted in policy.decide([text]).vetted:
            ip_address(vetted)
            assert policy.decide([vetted]).vetted == (vetted,)
    denial = STRICT.decide([text]).denial
    if denial is None:
        assert len(STRICT.vet([text])) == 1
    else:
        assert denial.detail.isprintable()
        with pytest.raises(FetchError, match=r"^[\x20-\x7e]+$"):
            STRICT.vet([text])


def test_the_client_learns_the_block_and_the_log_the_address() -> None:
    denial = STRICT.decide(["8.8.8.8", "::ffff:10.1.2.3", "::1"]).denial
    assert denial is not None
    assert denial.message == "the address may not be contacted: Private-Use (RFC 1918)"
    assert denial.detail == "10.1.2.3 may not be contacted: Private-Use (RFC 1918)"
    with pytest.raises(FetchError) as caught:
        STRICT.vet(["8.8.8.8", "::ffff:10.1.2.3", "::1"])
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.ADDRESS_DENIED, denial.message)


@given(addresses)
def test_without_limits_every_address_passes(address: Address) -> None:
    assert not denied(str(address), AddressPolicy.allow_all())


def test_without_limits_a_zone_is_kept() -> None:
    assert AddressPolicy.allow_all().vet(["FE80::1%eth0.1"]) == ("fe80::1%eth0.1",)


@given(addresses, st.integers(0, 128), st.data())
def test_exempt_addresses_pass_and_the_others_are_judged_as_before(
    inside: Address, prefix: int, data: st.DataObject
) -> None:
    if inside in MAPPED:
        inside = IPv4Address(int(inside) & 0xFFFFFFFF)
    network = ip_network((inside, min(prefix, inside.max_prefixlen)), strict=False)
    policy = AddressPolicy.public_only(allow=(network,))
    other = data.draw(addresses)
    if other in MAPPED:
        other = IPv4Address(int(other) & 0xFFFFFFFF)
    assert not denied(str(inside), policy)
    assert denied(str(other), policy) == (denied(str(other)) and other not in network)


def test_exemption_by_example() -> None:
    policy = AddressPolicy.public_only(allow=parse_allowed("10.1.0.0/16, fd00:1::/32, fe80::/10"))
    inside = ("10.1.2.3", "10.1.255.255", "fd00:1::1", "fe80::1%eth0", "8.8.8.8")
    assert policy.vet(inside) == policy.vet(["10.1.2.3", "::ffff:10.1.255.255", *inside[2:]]) == inside
    for address in ("10.0.255.255", "10.2.0.0", "fd00:2::", "::1", "::10.1.2.3", "64:ff9b::10.1.2.3"):
        assert denied(address, policy)
    assert policy.decide(["10.1.2.3", "10.2.0.1"]).vetted == ()


def test_an_exemption_of_ipv6_exempts_no_ipv4() -> None:
    assert denied("::ffff:127.0.0.1", AddressPolicy.public_only(allow=parse_allowed("::/0")))


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", []),
        (" , ", []),
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        (" 10.0.0.0/8 ,fd00::/8,", ["10.0.0.0/8", "fd00::/8"]),
        ("192.168.1.5", ["192.168.1.5/32"]),
        ("::1", ["::1/128"]),
        ("all", ["0.0.0.0/0", "::/0"]),
        (" all\n", ["0.0.0.0/0", "::/0"]),
    ],
)
def test_reading_the_allowed_networks(text: str, networks: list[str]) -> None:
    assert [str(network) for network in parse_allowed(text)] == networks


NO_NETWORKS = """
10.1.2.3/8 10.0.0.0/33 10.0.0.0/255.0.0.0 0.0.0.0/0.0.0.0 10.0.0.0/ 10.0.0.0/-1 10/8 10.0.0.0/８ 10.0.0.0/8;fd00::/8
fe80::%eth0/10 fe80::1%eth0 ::ffff:10.0.0.0/104 ::ffff:0:0/96 localhost * ALL all,10.0.0.0/8
"""


@pytest.mark.parametrize("text", [*NO_NETWORKS.split(), "10.0.0.0/8 fd00::/8"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_allowed(text)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        networks = parse_allowed(text)
    except SettingsError:
        return
    assert isinstance(networks, tuple)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://example.com/", None),
        ("https://example.com/", None),
        ("https://example.com:80/", None),
        ("http://example.com:22/", ErrorKind.ADDRESS_DENIED),
        ("http://example.com:8080/", ErrorKind.ADDRESS_DENIED),
        ("http://example.com:0/", ErrorKind.ADDRESS_DENIED),
    ],
)
def test_ports(url: str, kind: ErrorKind | None) -> None:
    origin = origin_of(url)
    AddressPolicy.allow_all().check_origin(origin)
    AddressPolicy.public_only(ports=None).check_origin(origin)
    AddressPolicy.public_only(ports=frozenset({origin.port})).check_origin(origin)
    if kind is None:
        STRICT.check_origin(origin)
    else:
        with pytest.raises(FetchError) as caught:
            STRICT.check_origin(origin)
        assert caught.value.kind is kind


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher", "HTTP", "", "x\ny", "http"])
def test_schemes(scheme: str) -> None:
    https_only = AddressPolicy(schemes=frozenset({"https"}))
    https_only.check_origin(Origin("https", "example.com", 8443))
    for policy in [https_only] if scheme == "http" else [STRICT, AddressPolicy.allow_all()]:
        with pytest.raises(FetchError) as caught:
            policy.check_origin(Origin(scheme, "example.com", 80))
        assert caught.value.kind is ErrorKind.UNSUPPORTED_SCHEME
        assert str(caught.value).isprintable()


def test_policies_are_values() -> None:
    assert AddressPolicy.public_only() == STRICT
    assert hash(AddressPolicy.allow_all()) == hash(AddressPolicy(allow=EVERYWHERE))
    with pytest.raises(AttributeError):
        STRICT.ports = None  # type: ignore[misc]
