"""The RAM actions that a request needs, for the fault ``deny``."""

from __future__ import annotations

#: Where they are not those of the same name.
_OTHERS = {
    "OSS:AsyncProcessObject": ("oss:PostProcessTask", "oss:GetObject", "oss:ProcessImm", "oss:PutObject"),
    "OSS:HeadObject": ("oss:GetObject",),
    "OSS:ListObjectsV2": ("oss:ListObjects",),
    "OSS:AppendObject": ("oss:PutObject",),
    "OSS:CopyObject": ("oss:GetObject", "oss:PutObject"),
    "OSS:video/info": ("oss:GetObject", "oss:ProcessImm", "imm:DetectMediaMeta"),
    "OSS:audio/info": ("oss:GetObject", "oss:ProcessImm", "imm:DetectMediaMeta"),
    "OSS:image/info": ("oss:GetObject",),
}
_PREFIXES = {"OSS": "oss", "IMM": "imm", "SMQ": "mns"}


def needed(subject: str) -> tuple[str, ...]:
    """Return the actions, such as ``imm:GetTask``, that a request such as ``IMM:GetTask`` needs."""
    service, _, action = subject.partition(":")
    if action == "GetCallerIdentity":
        return ()
    return _OTHERS.get(subject, (f"{_PREFIXES[service]}:{action}",))


def denial(action: str) -> dict[str, str]:
    """Return what ``AccessDeniedDetail`` holds for a missing right."""
    return {
        "AuthAction": action,
        "AuthPrincipalType": "SubUser",
        "AuthPrincipalOwnerId": "1000000000000001",
        "AuthPrincipalDisplayName": "200000000000000002",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
        "EncodedDiagnosticMessage": "AQFohtp4aIbaeEXXXXQxNjFD",
    }
