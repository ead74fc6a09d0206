"""Endpoints of OSS, IMM, STS and SMQ: the hosts of a region and network, and what a given host name means.

Sources:

- OSS: https://www.alibabacloud.com/help/en/oss/user-guide/regions-and-endpoints
- IMM: https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-endpoint
- STS: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-endpoint
- SMQ: https://www.alibabacloud.com/help/en/smq/developer-reference/endpoints
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

Network = Literal["public", "internal", "accelerate", "accelerate-overseas", "dual-stack"]
Service = Literal["OSS", "IMM", "STS", "SMQ"]

_DOMAIN = "aliyuncs.com"
#: Where ``network`` becomes an endpoint of OSS.
_OSS_HOSTS: dict[Network, str] = {
    "public": "oss-{region}",
    "internal": "oss-{region}-internal",
    "accelerate": "oss-accelerate",
    "accelerate-overseas": "oss-accelerate-overseas",
    "dual-stack": "{region}.oss",
}
#: The other services have two hosts: the first for the network ``internal``, the second for all others.
_OTHER_HOSTS: dict[Service, tuple[str, str]] = {
    "IMM": ("imm-vpc.{region}", "imm.{region}"),
    "STS": ("sts-vpc.{region}", "sts.{region}"),
    "SMQ": ("{account}.mns.{region}-internal", "{account}.mns.{region}"),
}
#: Regions in which IMM has no public endpoint (the endpoint map of Alibaba Cloud's IMM SDK).
_IMM_VPC_ONLY = frozenset({"cn-beijing-gov-1"})

_REGION = r"(?P<region>[a-z]{2}-[a-z0-9]+(?:-[a-z0-9]+)*?)"
#: Before ``.oss`` there may also be a bucket, as in the old ``my-bucket.oss.aliyuncs.com``.
_AREA = r"(?=(?:ap|cn|eu|me|na|us)-)"
#: The official forms of a host, the stricter ones first. What comes before an OSS host is a bucket or ``s3``.
_OFFICIAL: tuple[tuple[Service, Network, str], ...] = (
    ("OSS", "accelerate", r"oss-accelerate"),
    ("OSS", "accelerate-overseas", r"oss-accelerate-overseas"),
    ("OSS", "internal", rf"oss-{_REGION}-internal"),
    ("OSS", "internal", rf"vpc100-oss-{_REGION}"),
    ("OSS", "internal", rf"{_AREA}{_REGION}-internal\.oss"),
    ("OSS", "public", rf"oss-{_REGION}"),
    ("OSS", "dual-stack", rf"{_AREA}{_REGION}\.oss"),
    ("OSS", "internal", r"oss-internal"),
    ("OSS", "public", r"oss"),
    ("IMM", "internal", rf"imm-vpc\.{_REGION}"),
    ("IMM", "public", rf"imm\.{_REGION}"),
    ("STS", "internal", rf"sts-vpc\.{_REGION}"),
    ("STS", "public", rf"sts(?:\.{_REGION})?"),
    ("SMQ", "internal", rf"mns\.{_REGION}-internal(?:-vpc)?"),
    ("SMQ", "public", rf"mns\.{_REGION}"),
)
_REGION_ID = re.compile(_REGION)
#: Zones are named after their region; only the finance cloud has regions that end in a letter.
_ZONE = re.compile(
    r"(?P<region>(?!.*(?:jbp|finance))[a-z]{2}-[a-z]+(?:-[0-9]+(?=-?[a-z]\Z)|(?=-[a-z]\Z)))-?[a-z]"
)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")


@dataclass(frozen=True, slots=True)
class OfficialHost:
    """What a host name of Alibaba Cloud says.

    :param service: the service it belongs to.
    :param network: the network it is for.
    :param region: region id, empty where the host serves all regions.
    :param prefix: what comes before the endpoint: a bucket of OSS, ``s3``, an account id of SMQ, or empty.
    :param endpoint: the host without ``prefix``.
    """

    service: Service
    network: Network
    region: str
    prefix: str
    endpoint: str

    @property
    def bucket(self) -> str:
        """The bucket before an OSS endpoint; empty if there is none."""
        if self.service != "OSS" or self.prefix == "s3":
            return ""
        return self.prefix.removesuffix(".s3")

    @property
    def s3_compatible(self) -> bool:
        """Whether it speaks the protocol of Amazon S3, which has no ``x-oss-async-process``."""
        return self.service == "OSS" and self.prefix.rpartition(".")[2] == "s3"


def oss_endpoint(region: str, network: Network = "public") -> str:
    """Return the host of OSS, without a bucket.

    :param region: region id such as ``cn-hangzhou``.
    :param network: how OSS is reached.
    """
    return f"{_OSS_HOSTS[network].format(region=region)}.{_DOMAIN}"


def imm_endpoint(region: str, network: Network = "public") -> str:
    """Return the host of IMM.

    :param region: region id such as ``cn-hangzhou``.
    :param network: ``internal`` gives the VPC host, all others the public one.
    """
    return _other_host("IMM", region, "internal" if region in _IMM_VPC_ONLY else network)


def sts_endpoint(region: str, network: Network = "public") -> str:
    """Return the host of STS, which issues the credentials of an assumed RAM role.

    :param region: region id such as ``cn-hangzhou``.
    :param network: ``internal`` gives the VPC host, all others the public one.
    """
    return _other_host("STS", region, network)


def smq_endpoint(account: str, region: str, network: Network = "public") -> str:
    """Return the host of SMQ.

    :param account: id of the Alibaba Cloud account, digits.
    :param region: region id such as ``cn-hangzhou``.
    :param network: ``internal`` gives the VPC host, all others the public one.
    """
    return _other_host("SMQ", region, network, account)


def _other_host(service: Service, region: str, network: Network, account: str = "") -> str:
    internal, public = _OTHER_HOSTS[service]
    host = internal if network == "internal" else public
    return f"{host.format(region=region, account=account)}.{_DOMAIN}"


def default_scheme(host: str) -> str:
    """Return the scheme a host is used with unless one is given: ``https``.

    ``http`` for this machine, and for SMQ inside a VPC, which has no https there.
    """
    official = official_host(host)
    internal_smq = official is not None and official.service == "SMQ" and official.network == "internal"
    return "http" if internal_smq or is_loopback(host) else "https"


def official_host(host: str) -> OfficialHost | None:
    """Return what a host name says; ``None`` if it is not a documented name of OSS, IMM, STS or SMQ.

    :param host: host name in lower case, without port.
    """
    if len(host) > 253:  # Longest host name (RFC 1035).
        return None
    for service, network, pattern in _OFFICIAL:
        if found := re.fullmatch(rf"(?:(?P<prefix>.+)\.)?(?:{pattern})\.aliyuncs\.com", host):
            groups = found.groupdict()
            prefix = groups["prefix"] or ""
            endpoint = host[len(prefix) + 1 :] if prefix else host
            return OfficialHost(service, network, groups.get("region") or "", prefix, endpoint)
    return None


def parse_region(text: str) -> tuple[str, Network | None]:
    """Read a region in the forms in which people know it.

    Accepted are ``cn-hangzhou``, ``oss-cn-hangzhou``, ``oss-cn-hangzhou-internal``, and the host name or URL
    of any official endpoint that names a region.

    :return: the region id, and the network if the text names the endpoint of one.
    :raises ValueError: it is none of these; the message says what is wrong with it.
    """
    name = text.strip().lower()
    host = re.sub(r"^[a-z]+://", "", name).partition("/")[0].partition(":")[0].rstrip(".")
    if host.endswith(f".{_DOMAIN}"):
        if (official := official_host(host)) and official.region:
            return official.region, official.network
        raise ValueError("this host does not name a region")
    bare = host.removeprefix("vpc100-").removeprefix("oss-")
    region = bare.removesuffix("-internal")
    internal = region != bare or host.startswith("vpc100-")
    if not _REGION_ID.fullmatch(region):
        raise ValueError("this is not a region id")
    if zone := _ZONE.fullmatch(region):
        raise ValueError(f"this is a zone; its region is {zone['region']}")
    return region, "internal" if internal else None


def is_host(text: str) -> bool:
    """Whether a text in lower case is a host name or IP address (IPv6 without brackets)."""
    return (len(text) <= 253 and _HOST.fullmatch(text) is not None) or is_ip(text)


def is_ip(host: str) -> bool:
    """Whether a host is an IPv4 or IPv6 address (without brackets)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address stands for this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return is_ip(host) and ipaddress.ip_address(host).is_loopback
