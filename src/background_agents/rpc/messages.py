"""The messages of JSON-RPC 2.0, and the errors that travel in them."""

from __future__ import annotations

import msgspec

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
CLOSED = -32000
"""Ours: the connection ended before the answer came."""


class RpcError(Exception):
    """An error as it travels: the peer's answer, or our own on the way out."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ErrorBody(msgspec.Struct):
    """The ``error`` member of a response."""

    code: int
    message: str


class Incoming(msgspec.Struct):
    """Whatever arrives; which members are set tells a request, notification or response."""

    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None


class Request(msgspec.Struct, omit_defaults=True):
    """A request, or without ``id`` a notification."""

    method: str
    params: object
    id: int | None = None
    jsonrpc: str = "2.0"


class Result(msgspec.Struct):
    """A successful response."""

    id: int | str
    result: object
    jsonrpc: str = "2.0"


class Failure(msgspec.Struct):
    """A failed response."""

    id: int | str | None
    error: ErrorBody
    jsonrpc: str = "2.0"
