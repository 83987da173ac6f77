"""A verifier of assertions in Python that shares no code with the service; judged by test/vectors/assertions.json."""

import base64
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

SKEW = 30
PART = re.compile(r"[A-Za-z0-9_-]+\Z")


class Rejected(Exception):
    """The assertion does not hold, and never will."""


class Misused(Rejected):
    """The backend expects what no assertion can meet, such as a level that does not exist."""


def must(holds):
    if not holds:
        raise Rejected()


def decode(text):
    must(PART.match(text))
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    must(base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text)
    return data


def parse(text):
    try:
        value = json.loads(decode(text))
    except ValueError:
        raise Rejected() from None
    must(isinstance(value, dict))
    return value


def check_signature(jwk, header, data, signature):
    must("d" not in jwk and jwk.get("use", "sig") == "sig" and jwk.get("alg", header["alg"]) == header["alg"])
    if jwk["kty"] == "OKP" and jwk["crv"] == "Ed25519":
        must(header["alg"] == "EdDSA")
        ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"])).verify(signature, data)
        return
    must(jwk["kty"] == "EC" and jwk["crv"] == "P-256" and header["alg"] == "ES256" and len(signature) == 64)
    x, y, r, s = (int.from_bytes(part, "big") for part in (decode(jwk["x"]), decode(jwk["y"]), signature[:32], signature[32:]))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    key.verify(encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))


def digest(action):
    # RFC 8785 for an object of texts: names in the order of their UTF-16 code units.
    by_units = sorted(action["parameters"].items(), key=lambda item: item[0].encode("utf-16-be"))
    canonical = {"parameters": dict(by_units), "type": action["type"]}
    text = json.dumps(canonical, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def sha256(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def is_second(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def verify(token, expected, file, used_before):
    """The claims of an assertion that holds for the request; raises Rejected for every other.

    `file` says what is accepted at all: issuer, audience, jwks, and what time it is now.
    """
    parts = token.split(".")
    must(len(parts) == 3 and len(token) <= 4096)
    levels = {"aal1": 1, "aal2": 2}
    purposes = ("log_in", "step_up")
    if expected.get("acr", "aal2") not in levels or expected.get("binding") not in (None, "authenticator"):
        raise Misused()
    if "purpose" in expected and expected["purpose"] not in purposes:
        raise Misused()
    header = parse(parts[0])
    must(set(header) == {"alg", "typ", "kid"} and header["typ"] == "mfa-assertion+jwt")
    keys = [key for key in file["jwks"]["keys"] if key.get("kid") == header["kid"]]
    must(len(keys) == 1)
    try:
        check_signature(keys[0], header, f"{parts[0]}.{parts[1]}".encode(), decode(parts[2]))
    except (InvalidSignature, ValueError, KeyError, TypeError):  # the last three: a malformed key
        raise Rejected() from None
    claims, now = parse(parts[1]), file["now"]
    must(claims.get("iss") == file["issuer"] and claims.get("aud") == file["audience"])
    must(claims.get("sub") == expected["userId"] and claims.get("tid") == expected["tenantId"])
    session = expected["sessionId"]
    must(claims.get("sid") == (sha256(session) if session else None))
    must(claims.get("nonce") == (expected.get("nonce") or None))
    must(isinstance(claims.get("jti"), str) and re.fullmatch(r"[A-Za-z0-9_-]{22}", claims["jti"]))
    must(levels.get(claims.get("acr"), 0) >= levels[expected.get("acr", "aal2")])
    must(isinstance(claims.get("amr"), list) and claims["amr"] and all(isinstance(m, str) and m for m in claims["amr"]))
    must(isinstance(claims.get("pol"), int) and not isinstance(claims.get("pol"), bool))
    must(claims.get("pur") in purposes and claims["pur"] == expected.get("purpose", claims["pur"]))
    must("cid" not in claims or (isinstance(claims["cid"], str) and claims["cid"]))
    action = expected.get("action")
    if action is None:
        must("act" not in claims and "bnd" not in claims)
    else:
        must(isinstance(claims.get("act"), dict) and claims["act"].get("type") == action["type"])
        must(claims["act"].get("digest") == digest(action))
        must(claims.get("bnd") in (("authenticator",) if expected.get("binding") else ("authenticator", "server")))
    times = [claims.get(name) for name in ("iat", "nbf", "exp", "auth_time")]
    must(all(is_second(time) for time in times))
    iat, nbf, exp, auth_time = times
    must(exp > iat and exp > nbf)
    must(exp > now - SKEW and nbf <= now + SKEW and iat <= now + SKEW and auth_time <= iat + SKEW)
    must(exp - iat <= (60 if "act" in claims else 120))
    must("maxAgeSeconds" not in expected or auth_time >= now - expected["maxAgeSeconds"])
    must(not used_before)
    return claims
