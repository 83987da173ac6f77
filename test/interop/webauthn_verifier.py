"""Judges ceremonies by python-fido2, which shares no code with the service: a line of JSON in, one out."""

import json
import sys

from fido2.client import ClientData
from fido2.ctap2 import AttestationObject, AuthenticatorData
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import PublicKeyCredentialRpEntity

asked = json.load(sys.stdin)
origin = asked["origin"]
server = Fido2Server(PublicKeyCredentialRpEntity(asked["rpId"], "verifier"), verify_origin=lambda seen: seen == origin)


def judge(work):
    try:
        return work() or True
    except Exception:
        return False


def register(ceremony):
    response = ceremony["response"]["response"]
    return server.register_complete(
        {"challenge": ceremony["challenge"], "user_verification": "required"},
        ClientData(websafe_decode(response["clientDataJSON"])),
        AttestationObject(websafe_decode(response["attestationObject"])),
    ).credential_data


def authenticate(ceremony, credential):
    answer = ceremony["response"]
    response = answer["response"]
    server.authenticate_complete(
        {"challenge": ceremony["challenge"], "user_verification": "required"},
        [credential],
        websafe_decode(answer["rawId"]),
        ClientData(websafe_decode(response["clientDataJSON"])),
        AuthenticatorData(websafe_decode(response["authenticatorData"])),
        websafe_decode(response["signature"]),
    )


credential = judge(lambda: register(asked["registration"]))
print(
    json.dumps(
        {
            "registered": credential is not False,
            "credentialId": credential.credential_id.hex() if credential else "",
            "authenticated": [
                judge(lambda: authenticate(ceremony, credential)) for ceremony in asked["authentications"]
            ],
        }
    )
)
