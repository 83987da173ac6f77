"""The verifier of assertions, with its key set cached."""

import json
import threading
import time
import urllib.request
from typing import Any, Callable, Dict, Optional

from . import _assertion
from ._assertion import Rejected

Keys = Callable[[str], Dict[str, Any]]
Once = Callable[[str, int], bool]

_CACHED_S = 600
_PAUSE_S = 10


def remote_keys(url: str, timeout: float = 5.0) -> Keys:
    """Keys behind `/.well-known/jwks.json`: kept for ten minutes; a key id that is unknown fetches them, at most every
    ten seconds. Raises OSError where they cannot be had: nothing is decided then."""
    lock, state = threading.Lock(), {"jwks": {"keys": []}, "at": float("-inf")}

    def keys(key_id: str) -> Dict[str, Any]:
        with lock:
            age = time.monotonic() - state["at"]
            known = any(key.get("kid") == key_id for key in state["jwks"]["keys"])
            if age > _CACHED_S or (not known and age > _PAUSE_S):
                with urllib.request.urlopen(url, timeout=timeout) as page:
                    state.update(jwks=json.load(page), at=time.monotonic())
            return state["jwks"]

    return keys


def once_in_memory() -> Once:
    """Notes ids in this process: for development, and for a backend of one process. Others insert each into a table."""
    lock, used = threading.Lock(), {}

    def once(assertion_id: str, until: int) -> bool:
        with lock:
            for old in [name for name, end in used.items() if end <= time.time()]:
                del used[old]
            if assertion_id in used:
                return False
            used[assertion_id] = until
            return True

    return once


class AssertionVerifier:
    """Verifies assertions against the request that they came with."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: Keys,
        once: Once,
        clock: Callable[[], float] = time.time,
    ):
        """`keys` returns the key set for a key id; `once` notes an id until a time, and returns False for a second use."""
        self._issuer, self._audience = issuer, audience
        self._keys, self._once, self._clock = keys, once, clock

    def verify(
        self,
        token: str,
        *,
        tenant_id: str,
        user_id: str,
        session_id: str = "",
        nonce: str = "",
        acr: str = "aal2",
        purpose: Optional[str] = None,
        action: Optional[Dict[str, Any]] = None,
        binding: Optional[str] = None,
        max_age: Optional[int] = None,
    ) -> Dict[str, Any]:
        """Returns the claims; raises RejectedAssertion for whatever does not hold exactly, a second use among it."""
        expected: Dict[str, Any] = {"tenantId": tenant_id, "userId": user_id, "sessionId": session_id, "nonce": nonce, "acr": acr}
        stated = {"purpose": purpose, "action": action, "binding": binding, "maxAgeSeconds": max_age}
        expected.update({name: value for name, value in stated.items() if value is not None})
        header = _assertion.parse(token.split(".")[0])
        jwks = self._keys(str(header.get("kid")))
        terms = {"issuer": self._issuer, "audience": self._audience, "jwks": jwks, "now": int(self._clock())}
        claims = _assertion.verify(token, expected, terms, used_before=False)
        if self._once(claims["jti"], claims["exp"] + _assertion.SKEW) is not True:
            raise Rejected()
        return claims
