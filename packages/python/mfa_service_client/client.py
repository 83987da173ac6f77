"""One channel to the service, and the stubs of its three services."""

import random
import time
from typing import Callable, Optional, Union

import grpc

from .errors import MfaError
from .log_in import LogIns
from .v1 import admin_mfa_service_pb2_grpc, internal_mfa_service_pb2_grpc, mfa_service_pb2_grpc
from .v1.idempotent import IDEMPOTENT

Credential = Union[str, Callable[[], str]]


class _Details(grpc.ClientCallDetails):
    def __init__(self, details, timeout, metadata):
        self.method, self.timeout, self.metadata = details.method, timeout, metadata
        self.credentials, self.wait_for_ready, self.compression = details.credentials, None, None


class _Calls(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Adds the credential and the deadline, and sends again what may be sent again; all attempts share the deadline."""

    def __init__(self, credential: Optional[Credential], deadline: float, retries: int):
        self._credential, self._deadline, self._retries = credential, deadline, retries

    def _with(self, details, timeout):
        metadata = list(details.metadata or ())
        if self._credential is not None and not any(name == "authorization" for name, _ in metadata):
            token = self._credential() if callable(self._credential) else self._credential
            metadata.append(("authorization", "Bearer " + token))
        return _Details(details, timeout, metadata)

    def intercept_unary_stream(self, continuation, details, request):
        return continuation(self._with(details, details.timeout), request)

    def intercept_unary_unary(self, continuation, details, request):
        end = time.monotonic() + (details.timeout or self._deadline)
        attempt = 0
        while True:
            call = continuation(self._with(details, max(end - time.monotonic(), 0.001)), request)
            if call.code() == grpc.StatusCode.OK:
                return call
            error = MfaError(call)
            pause = error.retry_after or 0.1 * 2**attempt * (0.5 + random.random())
            if attempt >= self._retries or time.monotonic() + pause >= end or not _may_repeat(details.method, error):
                return call
            time.sleep(pause)
            attempt += 1


def _may_repeat(method: str, error: MfaError) -> bool:
    if error.reason == "OVERLOADED":  # nothing was done
        return True
    return method in IDEMPOTENT and (error.code == grpc.StatusCode.UNAVAILABLE or error.reason == "CONFLICT")


class _Raising:
    """A stub whose calls raise MfaError."""

    def __init__(self, stub):
        self._stub = stub

    def __getattr__(self, name):
        rpc = getattr(self._stub, name)

        def call(request, **options):
            try:
                reply = rpc(request, **options)
            except grpc.RpcError as error:
                raise MfaError(error) from error
            return reply if not isinstance(reply, grpc.Call) else _stream(reply)

        return call


def _stream(replies):
    try:
        yield from replies
    except grpc.RpcError as error:
        raise MfaError(error) from error


class MfaClient:
    """A connection for a backend. `with MfaClient(…) as mfa: …`, or `close()` at the end; threads may share one."""

    def __init__(
        self,
        address: str,
        credential: Optional[Credential] = None,
        *,
        tls: Union[bool, grpc.ChannelCredentials] = True,
        deadline: float = 10.0,
        retries: int = 2,
    ):
        """`credential` is a service key, a token, or what returns one; `tls=False` is for development only."""
        if tls is False:
            channel = grpc.insecure_channel(address)
        else:
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials() if tls is True else tls)
        self._channel = channel
        calls = grpc.intercept_channel(channel, _Calls(credential, deadline, retries))
        self.users = _Raising(mfa_service_pb2_grpc.MfaServiceStub(calls))
        self.admin = _Raising(admin_mfa_service_pb2_grpc.AdminMfaServiceStub(calls))
        self.internal = _Raising(internal_mfa_service_pb2_grpc.InternalMfaServiceStub(calls))
        self.log_ins = LogIns(self.internal)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> "MfaClient":
        return self

    def __exit__(self, *_) -> None:
        self.close()
