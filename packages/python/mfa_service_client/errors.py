"""What a refusal of the service says, for programs."""

from importlib import resources
from typing import Dict, Optional

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from ._assertion import Rejected as RejectedAssertion

__all__ = ["MfaError", "RejectedAssertion"]


def _classes():
    """The messages in which refusals are written, in a pool of their own: other packages bring the same files."""
    pool = descriptor_pool.DescriptorPool()
    data = resources.files(__package__).joinpath("errors.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)

    def find(name):
        descriptor = pool.FindMessageTypeByName(name)
        if hasattr(message_factory, "GetMessageClass"):  # protobuf 4.22 and later
            return message_factory.GetMessageClass(descriptor)
        return message_factory.MessageFactory(pool).GetPrototype(descriptor)

    return find("google.rpc.Status"), find("google.rpc.ErrorInfo"), find("google.rpc.RetryInfo")


_Status, _ErrorInfo, _RetryInfo = _classes()


class MfaError(Exception):
    """A call that was refused or failed. Branch on `reason`, never on the text."""

    def __init__(self, error: grpc.RpcError):
        super().__init__(error.details())
        self.code: grpc.StatusCode = error.code()
        #: A reason of the contract, such as CODE_REJECTED; the name of the status where the service gave none.
        self.reason: str = self.code.name
        #: What the refusal says besides: acr_values, policy, approval_id and so on.
        self.metadata: Dict[str, str] = {}
        #: Seconds to wait before trying again; None where the service did not say.
        self.retry_after: Optional[float] = None
        trailers = dict(error.trailing_metadata() or ())
        for detail in _Status.FromString(trailers.get("grpc-status-details-bin", b"")).details:
            if detail.type_url.endswith("/google.rpc.ErrorInfo"):
                info = _ErrorInfo.FromString(detail.value)
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.type_url.endswith("/google.rpc.RetryInfo"):
                delay = _RetryInfo.FromString(detail.value).retry_delay
                self.retry_after = delay.seconds + delay.nanos / 1e9

    @property
    def is_code_rejected(self) -> bool:
        """Whether the code was wrong, used or too old: ask for a new one."""
        return self.reason == "CODE_REJECTED"

    @property
    def is_locked(self) -> bool:
        """Whether too many attempts failed: even right codes are refused until `retry_after` has passed."""
        return self.reason == "LOCKED"
