"""A log-in in FastAPI: what it needs after the password, the code that was typed, and a route that wants aal2."""

import os
import secrets
import time
from dataclasses import asdict

from fastapi import Depends, FastAPI, Form, HTTPException, Request, Response
from mfa_service_client import AssertionVerifier, MfaClient, MfaError, once_in_memory, remote_keys
from mfa_service_client.log_in import kind_of

app = FastAPI()
mfa = MfaClient(os.environ["MFA_ADDRESS"], os.environ["MFA_KEY"], tls=os.environ.get("MFA_TLS") != "off")
verifier = AssertionVerifier("mfa-service", os.environ["MFA_AUDIENCE"], remote_keys(os.environ["MFA_KEYS"]), once_in_memory())
pending, sessions = {}, {}  # of an example: keep them where all processes find them, and let them expire


def is_password_right(user: str, password: str) -> bool:
    raise NotImplementedError


@app.post("/log-in")
def begin(request: Request, user: str = Form(), password: str = Form()):
    if not is_password_right(user, password):
        raise HTTPException(401)
    begun = mfa.log_ins.begin(user, {"ip": request.client.host})
    if begun.log_in is None:
        return {"next": begun.next, "ticket": begun.ticket}
    name = secrets.token_urlsafe(16)
    pending[name] = begun.log_in
    return {"next": "prove", "log_in": name, "kinds": [kind_of(factor) for factor in begun.factors]}


@app.post("/log-in/prove")
def prove(response: Response, log_in: str = Form(), kind: str = Form(), code: str = Form()):
    try:
        left = mfa.log_ins.answer(pending[log_in], kind, code)
        if left:
            return {"next": "prove", "kinds": [kind_of(factor) for factor in left]}
        session = mfa.log_ins.finish(pending.pop(log_in), verifier, os.environ["MFA_TENANT"])
    except MfaError as refusal:
        raise HTTPException(403, {"reason": refusal.reason, "retry_after": refusal.retry_after})
    sessions[session.session_id] = asdict(session)
    response.set_cookie("session", session.session_id, httponly=True, secure=True, samesite="lax")
    return {"next": "done", "acr": session.acr}


def recent_second_factor(request: Request):
    """Challenges whoever has not proved a second factor within five minutes (RFC 9470)."""
    session = sessions.get(request.cookies.get("session", ""), {"acr": "", "auth_time": None})
    if session["acr"] != "aal2" or (session["auth_time"] or 0) < time.time() - 300:
        challenge = 'Bearer error="insufficient_user_authentication", acr_values="aal2", max_age="300"'
        raise HTTPException(401, headers={"www-authenticate": challenge})
    return session


@app.post("/keys")
def create_key(session=Depends(recent_second_factor)):
    return {"user": session["user_id"]}
