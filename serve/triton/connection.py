"""One camera's gRPC connection to a Triton server, and the project's errors for what goes wrong on it.

It uses the service that ``tritonclient`` generates from Triton's own description. ``tritonclient``'s client on top of
it would build every request anew and copy each frame once more.
"""

from __future__ import annotations

from typing import Any

from mostnet.contract import BackendNotInstalledError, ServerBusyError, ServerError, ServerUnavailableError
from mostnet.contract.extras import extras_named, install_command
from mostnet.contract.terminal import one_line

from .addresses import is_local

#: A network that vanishes without a word is noticed after 15 s at most: gRPC probes the connection while answers arrive
#: and after 10 s of silence, and a probe is answered within 5 s, however long the frame takes. In silence it probes
#: twice and then waits, because a server closes a connection that is probed more often.
_KEEPALIVE_MS = 10_000
_PROBE_TIMEOUT_MS = 5_000

#: gRPC's own longest pause before it connects again is two minutes.
_RECONNECT_MS = (100, 1_000)

#: Triton's words, and those of our own server, for a frame that found no place and did not run.
_BUSY = ("exceeds maximum queue size", "timeout expired", "has been expired")
_BUSY_START = "busy:"
_SEQUENCE_UNKNOWN = "must specify the start flag"
_REGION_UNKNOWN = "unable to find shared memory region"

_GONE = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
_REFUSED = ("INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED")


class RequestRefusedError(ServerError):
    """The server refused a request and ran nothing."""


class ForgottenError(ServerError):
    """The server does not know the sequence or the shared memory that a request names, or cancelled the request.

    A frame that starts a sequence can be sent again.
    """


class Connection:
    """A connection of its own, so that one camera's frames never queue behind another's. It connects when used."""

    def __init__(self, address: str) -> None:
        """``address`` is gRPC's: ``host:port`` or ``unix:path``.

        Raises:
            BackendNotInstalledError: tritonclient is not installed, or without gRPC.
        """
        try:
            with extras_named("triton"):
                from tritonclient.grpc import service_pb2, service_pb2_grpc
            import grpc
        except (ModuleNotFoundError, RuntimeError) as error:  # a RuntimeError is tritonclient's own for the lack of it
            raise BackendNotInstalledError(
                f"tritonclient is installed without gRPC ({one_line(error)}); {install_command('triton')}"
            ) from error

        self.address = address
        self.messages: Any = service_pb2
        self._failure = grpc.RpcError
        self._channel = grpc.insecure_channel(address, options=_options(address))
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def ask(self, call: str, request: Any, limit_s: float) -> Any:
        """The answer to ``request`` by the service's ``call``, such as ``ModelInfer``.

        Raises:
            ServerUnavailableError: nobody answers within ``limit_s``, or the connection broke.
            ServerBusyError: there is no place; nothing ran.
            RequestRefusedError: the request does not fit the server; nothing ran.
            ForgottenError: the server does not know the sequence or the shared memory, or cancelled the request.
            ServerError: anything else.
        """
        try:
            return getattr(self._stub, call)(request, timeout=limit_s)
        except self._failure as error:
            raise _error_of(self.address, error.code().name, error.details() or "no reason given") from error
        except ValueError as error:  # the collector closes the channel of a session that was dropped in a cycle
            raise ServerUnavailableError(f"{self.address}: the connection is closed") from error

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", _PROBE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", _PROBE_TIMEOUT_MS),
    ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS[0]),
    ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS[0]),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS[1]),
    ("grpc.use_local_subchannel_pool", 1),
)


def _options(address: str) -> tuple[tuple[str, int], ...]:
    """gRPC would ask a proxy of the environment for ``localhost`` too, and the proxy would look on its own machine."""
    return (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if is_local(address) else _OPTIONS


def _error_of(address: str, status: str, details: str) -> ServerError:
    text = one_line(details)
    words = text.lower()
    if words.startswith(_BUSY_START) or (status == "UNAVAILABLE" and any(busy in words for busy in _BUSY)):
        return ServerBusyError(f"{address}: the server has no place for this frame ({text}); try again later")
    if _SEQUENCE_UNKNOWN in words or _REGION_UNKNOWN in words:
        return ForgottenError(f"{address}: {text}")
    if status == "CANCELLED":
        return ForgottenError(f"{address}: the server cancelled the request ({text})")
    if status in _GONE:
        return ServerUnavailableError(
            f"{address}: the server does not answer ({status.lower()}: {text}); check that it runs, and the address of "
            "its gRPC port"
        )
    kind = RequestRefusedError if status in _REFUSED else ServerError
    return kind(f"{address}: the server refused or failed ({status.lower()}: {text})")
