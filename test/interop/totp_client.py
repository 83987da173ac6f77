"""A TOTP log-in by a client that shares nothing with the service but a descriptor set: grpcio and the stdlib.

Usage: totp_client.py <descriptor set> <address>, tokens in USER_TOKEN and SERVICE_TOKEN. Prints one JSON object.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import sys
import time

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

descriptors, address = sys.argv[1:]
pool = descriptor_pool.DescriptorPool()
with open(descriptors, "rb") as file:
    for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
        pool.Add(proto)


def message_class(name):
    descriptor = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):  # protobuf 4.22 and later
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def totp(secret, at):
    """RFC 6238 with SHA-1, 6 digits, 30 s."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(at) // 30), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return "%06d" % (number % 1000000)


def reason_of(error):
    trailers = dict(error.trailing_metadata())
    status = message_class("google.rpc.Status").FromString(trailers["grpc-status-details-bin"])
    info = message_class("google.rpc.ErrorInfo")()
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
            return {"reason": info.reason, "domain": info.domain, "code": status.code}
    return None


with grpc.insecure_channel(address) as channel:

    def call(service, rpc, token, **fields):
        method = pool.FindServiceByName("mfa.v1." + service).FindMethodByName(rpc)
        stub = channel.unary_unary(
            "/mfa.v1.%s/%s" % (service, rpc),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_class(method.output_type.full_name).FromString,
        )
        request = message_class(method.input_type.full_name)(**fields)
        return stub(request, metadata=[("authorization", "Bearer " + token)], timeout=10)

    user, backend = os.environ["USER_TOKEN"], os.environ["SERVICE_TOKEN"]
    secret = call("MfaService", "StartTotpEnrollment", user).provisioning.secret
    device = call("MfaService", "FinishTotpEnrollment", user, code=totp(secret, time.time())).device

    login = {"user_id": "py", "code": totp(secret, time.time() + 30)}
    first = call("InternalMfaService", "VerifyUserTotpCode", backend, **login)
    try:
        call("InternalMfaService", "VerifyUserTotpCode", backend, **login)
        second = {"status": "OK"}
    except grpc.RpcError as error:
        second = {"status": error.code().name, "message": error.details(), "info": reason_of(error)}

states = pool.FindEnumTypeByName("mfa.v1.TotpDeviceState").values_by_number
print(
    json.dumps(
        {
            "grpcio": grpc.__version__,
            "state": states[device.state].name,
            "sameDevice": first.device_id == device.device_id,
            "second": second,
        }
    )
)
