"""Judges the wheel of mfa-service-client: the vectors of assertions, then log-ins as lines of JSON ask for them."""

import json
import os
import sys

from mfa_service_client import AssertionVerifier, LogInRefused, MfaClient, MfaError, RejectedAssertion, once_in_memory, remote_keys
from mfa_service_client.log_in import kind_of

NAMES = {"tenantId": "tenant_id", "userId": "user_id", "sessionId": "session_id", "maxAgeSeconds": "max_age"}


def wrong_vectors(path):
    with open(path, encoding="utf-8") as opened:
        file = json.load(opened)
    wrong = []
    for vector in file["vectors"]:
        once = once_in_memory() if not vector.get("usedBefore") else lambda *_: False
        clock = lambda: file["now"]
        # The clock of `once` is the machine's, and the vectors are old: an id that has expired is forgotten at once.
        verifier = AssertionVerifier(file["issuer"], file["audience"], lambda _: file["jwks"], once, clock)
        try:
            verifier.verify(vector["token"], **{NAMES.get(name, name): value for name, value in vector["expect"].items()})
            holds = True
        except RejectedAssertion:
            holds = False
        if holds != vector["valid"]:
            wrong.append(vector["name"])
    return {"run": len(file["vectors"]), "wrong": wrong}


def log_in(mfa, verifier, asked):
    codes, seen = iter(asked["codes"]), []
    code = lambda factor: seen.append(kind_of(factor)) or next(codes)
    try:
        session = mfa.log_ins.complete(asked["user"], {"ip": "203.0.113.7"}, verifier=verifier, tenant_id="dev", code=code)
        return {"acr": session.acr, "amr": session.amr, "restricted": session.restricted, "seen": seen}
    except MfaError as refusal:
        return {"reason": refusal.reason, "locked": refusal.is_locked, "retryAfter": refusal.retry_after}
    except LogInRefused as refusal:
        return {"refused": str(refusal)}


if len(sys.argv) > 1:
    print(json.dumps(wrong_vectors(sys.argv[1])))
else:
    verifier = AssertionVerifier("mfa-service", "shop", remote_keys(os.environ["MFA_KEYS"]), once_in_memory())
    with MfaClient(os.environ["MFA_ADDRESS"], lambda: os.environ["SERVICE_TOKEN"], tls=False) as mfa:
        for line in sys.stdin:
            print(json.dumps(log_in(mfa, verifier, json.loads(line))), flush=True)
