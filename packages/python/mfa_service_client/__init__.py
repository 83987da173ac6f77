"""Client of mfa-service for backends: typed stubs over gRPC, whole log-ins, and the verifier of assertions."""

from .assertions import AssertionVerifier, once_in_memory, remote_keys
from .client import MfaClient
from .errors import MfaError, RejectedAssertion
from .log_in import LogInRefused, Session

__all__ = [
    "AssertionVerifier",
    "LogInRefused",
    "MfaClient",
    "MfaError",
    "RejectedAssertion",
    "Session",
    "once_in_memory",
    "remote_keys",
]
