"""A log-in, from "the password was right" to a session: in steps for a page, or whole with callbacks."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional

from google.protobuf import json_format

from .assertions import AssertionVerifier
from .errors import MfaError
from .v1 import challenge_pb2, client_context_pb2, factor_pb2, risk_pb2

CODES = {
    "TOTP": "totp_code",
    "SMS": "sms_code",
    "EMAIL": "email_code",
    "BACKUP_CODE": "backup_code",
    "TEMPORARY_PASS": "temporary_pass",
}


def kind_of(factor) -> str:
    """The kind of a factor by its name: TOTP, WEBAUTHN, PUSH and so on."""
    return factor_pb2.FactorType.Name(factor.type)[len("FACTOR_TYPE_") :]


@dataclass
class Session:
    """What a session is worth. `restricted`: it may only enroll and replace factors, as after a backup code."""

    session_id: str
    user_id: str
    acr: str
    amr: List[str]
    mfa_epoch: int
    auth_time: Optional[int] = None
    restricted: bool = False


@dataclass
class PendingLogIn:
    """A log-in that waits for its proof: plain data, for the browser's session."""

    user_id: str
    client: Dict[str, str]
    session_id: str
    nonce: str
    challenge_id: str = ""


@dataclass
class Begun:
    """What a log-in still needs: `next` is done (with `session`), prove (`log_in`, `factors`), enroll (`ticket`), denied."""

    next: str
    session: Optional[Session] = None
    log_in: Optional[PendingLogIn] = None
    factors: List[Any] = field(default_factory=list)
    ticket: str = ""


class LogInRefused(Exception):
    """Why a log-in ended without a session: DENIED, ENROLLMENT_REQUIRED, NO_FACTOR_OFFERED."""


def _left_of(challenge):
    """What is left to prove: nothing of a proven challenge, None where nothing can come of it any more."""
    state = challenge_pb2.ChallengeState.Name(challenge.state)
    return {"CHALLENGE_STATE_PENDING": list(challenge.factors), "CHALLENGE_STATE_PROVEN": []}.get(state)


class LogIns:
    """The steps, and `complete`, which takes all of them. `client` is a dict: ip, user_agent, application."""

    def __init__(self, internal):
        self._internal = internal

    def begin(self, user_id: str, client: Dict[str, str], strength: str = "UNSPECIFIED", **evaluation) -> Begun:
        """Asks what the log-in needs. `evaluation` is whatever else EvaluateMfaRequest has, such as roles."""
        log_in = PendingLogIn(user_id, client, secrets.token_urlsafe(16), secrets.token_urlsafe(16))
        request = challenge_pb2.EvaluateMfaRequest(
            user_id=user_id, client=_context(client), session_id=log_in.session_id, **evaluation
        )
        request.strength = factor_pb2.AuthenticationStrength.Value("AUTHENTICATION_STRENGTH_" + strength)
        if not request.HasField("first_factor_time"):
            request.first_factor_time.GetCurrentTime()
        found = self._internal.EvaluateMfa(request)
        decision = risk_pb2.MfaDecision.Name(found.decision)[len("MFA_DECISION_") :]
        if decision == "ALLOW":
            return Begun("done", session=Session(log_in.session_id, user_id, "aal1", ["pwd"], found.mfa_epoch))
        if decision == "ENROLL":
            return Begun("enroll", ticket=found.ticket)
        if decision != "CHALLENGE":
            return Begun("denied")
        # What was judged is what has to be proved, by the factors that were offered for it and no others.
        terms = challenge_pb2.ChallengeTerms(
            purpose=challenge_pb2.CHALLENGE_PURPOSE_LOG_IN,
            session_id=log_in.session_id,
            nonce=log_in.nonce,
            strength=found.strength,
            allowed_factor_types=list(dict.fromkeys(factor.type for factor in found.factors)),
        )
        asked = {"user_id": user_id, "client": _context(client), "decision_id": found.decision_id, "terms": terms}
        created = self._internal.CreateUserChallenge(challenge_pb2.CreateUserChallengeRequest(**asked)).challenge
        log_in.challenge_id = created.challenge_id
        return Begun("prove", log_in=log_in, factors=list(created.factors))

    def prepare(self, log_in: PendingLogIn, factor) -> Any:
        """Sends the code, asks the phone or makes a passkey's options; returns the ChallengePreparation."""
        request = challenge_pb2.ResendUserChallengeRequest(
            **_about(log_in), factor_type=factor.type, factor_id=factor.factor_id
        )
        return self._internal.ResendUserChallenge(request).preparation

    def answer(self, log_in: PendingLogIn, kind: str, answer: Any) -> Optional[List[Any]]:
        """Passes on a code, or the JSON of a passkey; returns the factors left to prove. Raises MfaError CODE_REJECTED."""
        proof = challenge_pb2.Proof()
        if kind == "WEBAUTHN":
            json_format.ParseDict(answer, proof.webauthn)
        else:
            setattr(proof, CODES[kind], answer)
        request = challenge_pb2.VerifyUserChallengeRequest(**_about(log_in), proof=proof)
        return _left_of(self._internal.VerifyUserChallenge(request).challenge)

    def wait_for_phone(self, log_in: PendingLogIn, timeout: float = 120.0) -> Optional[List[Any]]:
        """Waits until the phone has answered; returns what is left to prove, None where it was denied."""
        request = challenge_pb2.WatchUserChallengeRequest(user_id=log_in.user_id, challenge_id=log_in.challenge_id)
        for state in self._internal.WatchUserChallenge(request, timeout=timeout):
            left = _left_of(state.challenge)
            if left is None or all(kind_of(factor) != "PUSH" for factor in left):
                return left
        return None

    def finish(self, log_in: PendingLogIn, verifier: AssertionVerifier, tenant_id: str) -> Session:
        """Redeems a proven challenge, once, verifies the assertion offline and returns the session."""
        about = {**_about(log_in), "session_id": log_in.session_id, "nonce": log_in.nonce}
        redeemed = self._internal.RedeemChallenge(challenge_pb2.RedeemChallengeRequest(**about))
        bound = {"user_id": log_in.user_id, "session_id": log_in.session_id, "nonce": log_in.nonce}
        claims = verifier.verify(redeemed.assertion.token, tenant_id=tenant_id, acr="aal1", purpose="log_in", **bound)
        amr, restricted = ["pwd", *claims["amr"]], redeemed.restricted_session
        session = (log_in.session_id, log_in.user_id, claims["acr"], amr, redeemed.mfa_epoch)
        return Session(*session, auth_time=claims["auth_time"], restricted=restricted)

    def complete(
        self,
        user_id: str,
        client: Dict[str, str],
        *,
        verifier: AssertionVerifier,
        tenant_id: str,
        code: Optional[Callable[[Any], str]] = None,
        passkey: Optional[Callable[[Dict[str, Any]], Dict[str, Any]]] = None,
        number: Optional[Callable[[str], None]] = None,
        choose: Callable[[List[Any]], Any] = lambda factors: factors[0],
        enroll: Optional[Callable[[str], None]] = None,
        max_codes: int = 3,
        **wishes,
    ) -> Session:
        """Runs a whole log-in; a factor without its callback is not offered. Raises LogInRefused and MfaError."""
        begun = self.begin(user_id, client, **wishes)
        if begun.next == "enroll" and enroll is not None:
            enroll(begun.ticket)
            begun = self.begin(user_id, client, **wishes)
        if begun.session is not None:
            return begun.session
        if begun.log_in is None:
            raise LogInRefused("ENROLLMENT_REQUIRED" if begun.next == "enroll" else "DENIED")
        hooks = {"WEBAUTHN": passkey, "PUSH": number}
        left: Optional[List[Any]] = begun.factors
        while True:
            offered = [factor for factor in left if hooks.get(kind_of(factor), code) is not None]
            if not offered:
                raise LogInRefused("NO_FACTOR_OFFERED")
            left = self._prove(begun.log_in, choose(offered), code, passkey, number, max_codes)
            if left is None:
                raise LogInRefused("DENIED")
            if not left:
                return self.finish(begun.log_in, verifier, tenant_id)

    def _prove(self, log_in, factor, code, passkey, number, max_codes):
        prepared, kind = self.prepare(log_in, factor), kind_of(factor)
        if kind == "PUSH":
            number(prepared.push.number)
            return self.wait_for_phone(log_in)
        if kind == "WEBAUTHN":
            return self.answer(log_in, kind, passkey(json_format.MessageToDict(prepared.webauthn_options)))
        for attempt in range(max_codes):
            try:
                return self.answer(log_in, kind, code(factor))
            except MfaError as error:
                if not error.is_code_rejected or attempt + 1 == max_codes:
                    raise


def _context(client: Dict[str, str]):
    return client_context_pb2.ClientContext(**client)


def _about(log_in: PendingLogIn) -> Dict[str, Any]:
    return {"user_id": log_in.user_id, "client": _context(log_in.client), "challenge_id": log_in.challenge_id}
