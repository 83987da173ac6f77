"""The log-in of log-in.mjs and main.mjs for backends in Python: grpcio, protobuf, cryptography and the stdlib.

    buf build --as-file-descriptor-set -o contract.binpb
    SERVICE_TOKEN=$(npm run -s token -- service shop) python3 examples/login-backend/main.py contract.binpb ann

The same settings from the environment, the same questions, the same last line.
"""

import json
import os
import secrets
import sys
import time
import urllib.request

import grpc
from assertion import Rejected, verify
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

descriptors, user_id = sys.argv[1:]
token = os.environ["SERVICE_TOKEN"]
pool = descriptor_pool.DescriptorPool()
with open(descriptors, "rb") as opened:
    for proto in descriptor_pb2.FileDescriptorSet.FromString(opened.read()).file:
        pool.Add(proto)
channel = grpc.insecure_channel(os.environ.get("MFA_ADDRESS", "127.0.0.1:11005"))


def message_class(name):
    descriptor = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):  # protobuf 4.22 and later
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


class Refused(Exception):
    """Carries the stable reason of a refusal, such as CODE_REJECTED."""


def reason_of(error):
    trailers = dict(error.trailing_metadata() or ())
    status = message_class("google.rpc.Status").FromString(trailers.get("grpc-status-details-bin", b""))
    info = message_class("google.rpc.ErrorInfo")()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
            return info.reason
    return error.details()


def call(service, rpc, authorization, fields, stream=False):
    """One call, fields and reply as the JSON of the contract; a stream as its messages."""
    method = pool.FindServiceByName("mfa.v1." + service).FindMethodByName(rpc)
    kind = channel.unary_stream if stream else channel.unary_unary
    send = kind(
        "/mfa.v1.%s/%s" % (service, rpc),
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_class(method.output_type.full_name).FromString,
    )
    request = json_format.ParseDict(fields, message_class(method.input_type.full_name)(), descriptor_pool=pool)
    as_dict = lambda reply: json_format.MessageToDict(reply, descriptor_pool=pool)
    try:
        reply = send(request, metadata=[("authorization", authorization)], timeout=120 if stream else 10)
        return map(as_dict, reply) if stream else as_dict(reply)
    except grpc.RpcError as error:
        raise Refused(reason_of(error)) from None


def internal(rpc, **fields):
    return call("InternalMfaService", rpc, "Bearer " + token, fields)


def ask(question):
    print(question, flush=True)
    return sys.stdin.readline().strip()


def enroll(ticket):
    """What the page does with a ticket, which is good for this and nothing else."""
    started = call("MfaService", "StartTotpEnrollment", "Ticket " + ticket, {})
    uri = started["provisioning"]["otpauthUri"]
    code = ask("Add this to an authenticator app: %s\nThe code it shows?" % uri)
    enrolled = call("MfaService", "FinishTotpEnrollment", "Ticket " + ticket, {"code": code})
    print("Keep these:", *enrolled.get("backupCodes", []))


def evaluate(client, session_id):
    strength = "AUTHENTICATION_STRENGTH_" + os.environ.get("MFA_STRENGTH", "UNSPECIFIED")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    asked = {"userId": user_id, "client": client, "sessionId": session_id, "strength": strength}
    found = internal("EvaluateMfa", **asked, firstFactorTime=now)
    found["decision"] = found["decision"][len("MFA_DECISION_") :]
    return found


CODES = {"TOTP": "totpCode", "SMS": "smsCode", "EMAIL": "emailCode", "BACKUP_CODE": "backupCode"}


def left_of(challenge):
    """What is left to prove: nothing of a proven one; None where nothing can come of it any more."""
    pending = challenge.get("factors", [])
    return {"CHALLENGE_STATE_PENDING": pending, "CHALLENGE_STATE_PROVEN": []}.get(challenge["state"])


def prove(challenge, kind):
    """Has the user prove the factor they chose, and says what is left; asks again for a code that was wrong."""
    answer = lambda proof: left_of(internal("VerifyUserChallenge", proof=proof, **challenge)["challenge"])
    prepared = internal("ResendUserChallenge", factorType="FACTOR_TYPE_" + kind, **challenge).get("preparation", {})
    if "push" in prepared:
        print("On your phone, type", prepared["push"]["number"], flush=True)
        key = {name: challenge[name] for name in ("userId", "challengeId")}
        for state in call("InternalMfaService", "WatchUserChallenge", "Bearer " + token, key, stream=True):
            left = left_of(state["challenge"])
            if left is None or all(one["type"] != "FACTOR_TYPE_" + kind for one in left):
                return left
        return None
    if "webauthnOptions" in prepared:
        return answer({"webauthn": json.loads(ask("Sign this: " + json.dumps(prepared["webauthnOptions"])))})
    while True:
        try:
            return answer({CODES[kind]: ask("The code?")})
        except Refused as refusal:
            if str(refusal) != "CODE_REJECTED":
                raise
            print("no: CODE_REJECTED", flush=True)


def log_in(client):
    session_id, nonce = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    found = evaluate(client, session_id)  # the password was right
    if found["decision"] == "ENROLL":
        enroll(found["ticket"])
        found = evaluate(client, session_id)
    session = {"sessionId": session_id, "userId": user_id, "mfaEpoch": found.get("mfaEpoch", "0")}
    bound = {"purpose": "CHALLENGE_PURPOSE_LOG_IN", "sessionId": session_id, "nonce": nonce}
    if found["decision"] == "ALLOW":
        # Nothing is demanded. An application may still want to see that a mailbox is theirs: no second factor.
        confirm = os.environ.get("MFA_CONFIRM")
        terms = {**bound, "allowedFactorTypes": ["FACTOR_TYPE_%s" % confirm]}
        created = confirm and internal("CreateUserChallenge", userId=user_id, client=client, terms=terms)["challenge"]
        if not created or not created.get("factors"):
            return {**session, "acr": "aal1", "amr": ["pwd"]}
    elif found["decision"] == "CHALLENGE":
        # What was judged is what has to be proved, by the factors that were offered for it and no others.
        kinds = list(dict.fromkeys(one["type"] for one in found.get("factors", [])))
        terms = {**bound, "allowedFactorTypes": kinds, "strength": found.get("strength", "AUTHENTICATION_STRENGTH_UNSPECIFIED")}
        asked = {"userId": user_id, "client": client, "terms": terms, "decisionId": found["decisionId"]}
        created = internal("CreateUserChallenge", **asked)["challenge"]
    else:
        raise Refused("DENIED")
    challenge = {"userId": user_id, "challengeId": created["challengeId"], "client": client}
    left = created.get("factors", [])
    while True:
        named = lambda one: ["  " + one["type"][len("FACTOR_TYPE_") :], one.get("displayName"), one.get("maskedTarget")]
        offers = [" ".join(filter(None, named(one))) for one in left]
        kind = ask("\n".join(["Choose how to prove that you are %s:" % user_id, *offers, "Which?"]))
        left = prove(challenge, kind)
        if left is None:
            raise Refused("DENIED")
        if not left:  # a decision may ask for several
            break
    redeemed = internal("RedeemChallenge", sessionId=session_id, nonce=nonce, **challenge)
    with urllib.request.urlopen(os.environ.get("MFA_KEYS", "http://127.0.0.1:11006/.well-known/jwks.json")) as page:
        jwks = json.load(page)
    # What is accepted, from this backend's own settings and from the request, never from the token. A backend of many
    # instances notes the id of each assertion in a table that all share, until it expires.
    terms = {"issuer": "mfa-service", "audience": "shop", "jwks": jwks, "now": int(time.time())}
    expected = {"tenantId": "dev", "userId": user_id, "sessionId": session_id, "nonce": nonce, "acr": "aal1", "purpose": "log_in"}
    claims = verify(redeemed["assertion"]["token"], expected, terms, used_before=False)
    stated = {"acr": claims["acr"], "amr": ["pwd", *claims["amr"]], "authTime": claims["auth_time"]}
    restricted = redeemed.get("restrictedSession", False)
    return {**session, **stated, "restricted": restricted, "mfaEpoch": redeemed["mfaEpoch"]}


try:
    made = log_in({"ip": "203.0.113.7", "userAgent": "Firefox/140 Linux", "application": "shop"})
    print("session:", json.dumps(made))
except (Refused, Rejected) as refusal:
    print("no:", str(refusal) or "ASSERTION_REJECTED")
    sys.exit(1)
