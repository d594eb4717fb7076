"""JSON Web Tokens made by hand, good ones and every kind of bad one, for all tests of access."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

#: As an environment would name it, and long enough.
SECRET = b"a-secret-of-the-platform-0123456789abcdef"


def part(value: object) -> bytes:
    """One part of a token: bytes as they are, anything else as JSON."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def token(
    claims: object = None, *, header: object = None, key: bytes = SECRET, digest: str = "sha256", **more: Any
) -> bytes:
    """A token whose signature is right for its parts, whatever they are. Claims may be given by name or as raw JSON."""
    if claims is None:
        claims = {"sub": "alice", **more}
    signed = part({"alg": "HS256", "typ": "JWT"} if header is None else header) + b"." + part(claims)
    return signed + b"." + part(hmac.digest(key, signed, getattr(hashlib, digest)))


def attacks() -> dict[str, bytes]:
    """Tokens that must all be refused as ``Invalid token``, by what they try."""
    good = token()
    header, payload, signature = good.split(b".")
    unsigned = {
        f"alg {alg!r}": part({"alg": alg, "typ": "JWT"}) + b"." + payload + b"."
        for alg in ("none", "None", "NONE", "nOnE", "", None, ["none"], {"none": 1})
    }
    return {
        **unsigned,
        **{name + " with the old signature": text + signature for name, text in unsigned.items()},
        **{
            f"alg {alg!r} under the right key": token(header={"alg": alg, "typ": "JWT"})
            for alg in ("none", "hs256", "HS256 ", "HS512", "RS256", "ES256", "", None, True, 0, [], ["HS256"], {})
        },
        "HS384": token(header={"alg": "HS384"}, digest="sha384"),
        "HS512": token(header={"alg": "HS512"}, digest="sha512"),
        "no alg": token(header={"typ": "JWT"}),
        "another key": token(key=b"x" * 32),
        "an empty key": token(key=b""),
        "an embedded jwk": token(header={"alg": "HS256", "jwk": {"kty": "oct", "k": "eHh4"}}, key=b"xxx"),
        "jku": token(header={"alg": "HS256", "jku": "https://evil.example/keys.json"}, key=b"xxx"),
        "x5u": token(header={"alg": "HS256", "x5u": "https://evil.example/cert.pem"}, key=b"xxx"),
        "kid names a file": token(header={"alg": "HS256", "kid": "../../../../dev/null"}, key=b""),
        "kid is SQL": token(header={"alg": "HS256", "kid": "x' UNION SELECT 'xxx'--"}, key=b"xxx"),
        "kid is a command": token(header={"alg": "HS256", "kid": "|/bin/id"}, key=b"xxx"),
        "kid is no text": token(header={"alg": "HS256", "kid": 1}),
        "crit": token(header={"alg": "HS256", "crit": ["exp"], "exp": 1}),
        "crit of what is not there": token(header={"alg": "HS256", "crit": ["b64"]}),
        "crit is empty": token(header={"alg": "HS256", "crit": []}),
        "crit with b64": token(header={"alg": "HS256", "b64": True, "crit": ["b64"]}),
        "a payload that is not encoded": token(header={"alg": "HS256", "b64": False, "crit": ["b64"]}),
        "a detached payload": header + b".." + signature,
        "an empty signature": header + b"." + payload + b".",
        "no signature": header + b"." + payload,
        "a truncated signature": good[:-1],
        "half a signature": good[:-22],
        "a signature of zeros": header + b"." + payload + b"." + b"A" * 43,
        "a longer signature": good + b"A",
        "a padded signature": good + b"=",
        "a padded header": header + b"=." + payload + b"." + signature,
        "a padded payload": header + b"." + payload + b"=." + signature,
        "a signature with spare bits": good[:-1] + _sibling(good[-1:]),
        "the other base64 alphabet": header + b"." + payload + b"." + b"+/" + signature[2:],
        "a line break within": header + b"." + payload + b".\n" + signature,
        "a space behind": good + b" ",
        "four parts": good + b"." + signature,
        "five parts, as encrypted ones have": b".".join([header, payload, payload, payload, signature]),
        "one part": header,
        "only dots": b"..",
        "not UTF-8": b"\xff.\xfe.\xfd",
        "a NUL": good[:5] + b"\0" + good[5:],
        "a changed payload": header + b"." + part({"sub": "root"}) + b"." + signature,
        "a changed header": part({"typ": "JWT", "alg": "HS256"}) + b"." + payload + b"." + signature,
        "huge": token({"sub": "alice", "more": "x" * 8192}),
        "huge and not signed": b"A" * 4_000_000 + b"." + payload + b"." + signature,
        "deeply nested header": token(header=b'{"alg":"HS256","x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        "deeply nested payload": token(b'{"sub":"alice","x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        "header is an array": token(header=["HS256"]),
        "header is not JSON": token(header=b"{alg:HS256}"),
        "payload is an array": token(["alice"]),
        "payload is a text": token(b'"alice"'),
        "payload is null": token(b"null"),
        "payload is not JSON": token(b"sub=alice"),
        "payload is UTF-16": token('{"sub":"alice"}'.encode("utf-16")),
        "payload is not UTF-8": token(b'{"sub":"al\xffice"}'),
        "a claim twice": token(b'{"sub":"alice","sub":"bob"}'),
        "exp twice": token(b'{"sub":"alice","exp":1,"exp":99999999999}'),
        "exp NaN": token(b'{"sub":"alice","exp":NaN}'),
        "exp Infinity": token(b'{"sub":"alice","exp":Infinity}'),
        "exp too large for a number": token(b'{"sub":"alice","exp":1e999}'),
        "exp of a thousand digits": token(b'{"sub":"alice","exp":1' + b"0" * 1000 + b"}"),
        "exp of more digits than Python reads": token(b'{"sub":"alice","exp":1' + b"0" * 5000 + b"}"),
        "exp a text": token(exp="99999999999"),
        "exp null": token(exp=None),
        "exp true": token(exp=True),
        "exp an array": token(exp=[99999999999]),
        "nbf NaN": token(b'{"sub":"alice","nbf":NaN}'),
        "nbf -Infinity": token(b'{"sub":"alice","nbf":-Infinity}'),
        "nbf a text": token(nbf="0"),
        "nbf ahead": token(nbf=99_999_999_999),
        "no user": token({"name": "alice"}),
        "sub empty": token(sub=""),
        "sub empty beside a userId": token(sub="", userId="alice"),
        "sub true": token(sub=True),
        "sub false beside a userId": token(sub=False, userId="alice"),
        "sub an object": token(sub={"id": "alice"}),
        "sub an array": token(sub=["alice"]),
        "sub a fraction": token(sub=1.5),
        "sub a whole fraction": token(sub=1.0),
        "sub half a surrogate pair": token(sub="\ud800"),
        "sub too long": token(sub="x" * 1025),
        "sub null and no userId": token(sub=None),
        "userId empty": token({"userId": ""}),
        "userId true": token({"userId": True}),
        "userId an object": token({"userId": {}}),
    }


def _sibling(character: bytes) -> bytes:
    """Another character that decodes to the same bits at the end of a signature."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(character) ^ 1
    return alphabet[at : at + 1]
