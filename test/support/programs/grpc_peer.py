"""grpcio of Python at both ends of a mesh.

grpc_peer.py serve COUNT             COUNT servers of /skein.test.Echo; prints a line {"ports": [...]}
grpc_peer.py call ADDRESS            calls them through ADDRESS; prints what came of it as one JSON object
grpc_peer.py share ADDRESS REQUESTS  prints how many of the requests of one connection each server got
"""

import collections
import concurrent.futures
import json
import sys
import threading
import time

import grpc

AUTHORITY = "echo.mesh"
LARGE = 4 * 1024 * 1024 - 64
OPTIONS = [("grpc.max_receive_message_length", 8 * 1024 * 1024), ("grpc.so_reuseport", 0)]
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Echo(grpc.GenericRpcHandler):
    """One of several like it; `whoami` tells which."""

    # Of all of them: they are one process.
    given_up = 0

    def __init__(self, index):
        self.index = index

    def service(self, details):
        return {
            "/skein.test.Echo/unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/skein.test.Echo/collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "/skein.test.Echo/expand": grpc.unary_stream_rpc_method_handler(self.expand),
            "/skein.test.Echo/chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }.get(details.method)

    def unary(self, request, context):
        text = request.decode() if len(request) < 64 else ""
        context.send_initial_metadata((("x-first", "head"),))
        context.set_trailing_metadata((("x-last", "trailer"), ("x-last-bin", b"\x00\xff")))
        if text.startswith("status "):
            code = int(text.split()[1])
            context.abort(CODES[code], f"as asked: {code}")
        if text == "whoami":
            return str(self.index).encode()
        if text == "given up":
            return str(Echo.given_up).encode()
        if text == "budget":
            return str(context.time_remaining()).encode()
        return request

    def collect(self, requests, _context):
        return str(sum(len(request) for request in requests)).encode()

    def expand(self, request, context):
        if request == b"hang":
            over = threading.Event()
            context.add_callback(over.set)
            yield b"begun"
            over.wait()
            Echo.given_up += 1
            return
        if request == b"trailers only":
            context.abort(grpc.StatusCode.DATA_LOSS, "nothing, not even a head")
        for i in range(int(request)):
            yield str(i).encode()

    def chat(self, requests, _context):
        yield from requests


def serve(count):
    servers = []
    ports = []
    for index in range(count):
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=OPTIONS)
        server.add_generic_rpc_handlers((Echo(index),))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        servers.append(server)
    print(json.dumps({"ports": ports}), flush=True)
    servers[0].wait_for_termination()


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


def call(address):
    options = OPTIONS + [("grpc.default_authority", AUTHORITY)]
    with grpc.insecure_channel(address, options) as channel:
        unary = channel.unary_unary("/skein.test.Echo/unary")
        collect = channel.stream_unary("/skein.test.Echo/collect")
        expand = channel.unary_stream("/skein.test.Echo/expand")
        chat = channel.stream_stream("/skein.test.Echo/chat")
        found = {}
        found["kinds"] = [
            unary(b"hello").decode(),
            collect(iter([bytes(1000)] * 100)).decode(),
            [int(each) for each in expand(b"500")] == list(range(500)),
            b"".join(chat(iter([b"a", b"b", b"c"]))).decode(),
        ]
        value, answer = unary.with_call(b"metadata")
        found["metadata"] = {
            "value": value.decode(),
            "first": dict(answer.initial_metadata()).get("x-first"),
            "last": dict(answer.trailing_metadata()).get("x-last"),
            "binary": dict(answer.trailing_metadata()).get("x-last-bin", b"").hex(),
        }
        found["statuses"] = {
            code: status_of(lambda code=code: unary(f"status {code}".encode())) for code in CODES if code > 0
        }
        found["trailersOnly"] = status_of(lambda: list(expand(b"trailers only")))
        large = [bytes([i + 1]) * LARGE for i in range(4)]
        futures = [unary.future(message) for message in large]
        found["large"] = [future.result() == message for future, message in zip(futures, large)]
        stream = expand(b"hang")
        next(stream)
        stream.cancel()
        found["cancelled"] = status_of(lambda: next(stream))[0]
        found["deadline"] = status_of(lambda: list(expand(b"hang", timeout=0.5)))[0]
        found["budgetSeconds"] = float(unary(b"budget", timeout=20))
        # Both hear of it; nobody promises when.
        until = time.monotonic() + 20
        given_up = 0
        while given_up < 2 and time.monotonic() < until:
            given_up = int(unary(b"given up"))
        found["givenUp"] = given_up
    print(json.dumps(found), flush=True)


def share(address, requests):
    """How many requests of one connection each server got, at most 16 of them at once."""
    options = OPTIONS + [("grpc.default_authority", AUTHORITY)]
    shares = collections.Counter()
    window = threading.Semaphore(16)
    with grpc.insecure_channel(address, options) as channel:
        unary = channel.unary_unary("/skein.test.Echo/unary")
        for future in [begin(unary, window) for _ in range(requests)]:
            shares[future.result().decode()] += 1
    print(json.dumps(dict(sorted(shares.items()))), flush=True)


def begin(unary, window):
    window.acquire()
    future = unary.future(b"whoami")
    future.add_done_callback(lambda _: window.release())
    return future


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    elif sys.argv[1] == "call":
        call(sys.argv[2])
    else:
        share(sys.argv[2], int(sys.argv[3]))
