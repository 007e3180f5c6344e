"""The client against real sockets that do what providers and networks do."""

import errno
import gzip
import logging
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from worker.msg91 import network
from worker.msg91.answers import AnswerClass
from worker.msg91.client import Msg91Client, Request
from worker.msg91.errors import ClientSettingError

pytestmark = pytest.mark.integration

KEY = "317085Akey0Secret61f7b2"
REQUEST_ID = "3462646e6c72616a61643234"
SUCCESS = orjson.dumps({"message": REQUEST_ID, "type": "success"})
POST = Request("POST", "/api/v2/sendsms", b'{"sms":[]}')

Handler = Callable[[socket.socket, int], None]


class RawServer:
    """Accepts connections and lets a function do anything to each of them."""

    def __init__(self, handler: Handler) -> None:
        self.received: list[bytes] = []
        self.connections = 0
        self._handler = handler
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.stopping = threading.Event()
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self.stopping.is_set():
                connection.close()
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, self.connections))
            self.connections += 1
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, index: int) -> None:
        with suppress(OSError):
            self._handler(connection, index)
        connection.close()

    def read_request(self, connection: socket.socket) -> bytes | None:
        """Read one whole request, None at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                if data:
                    self.received.append(data)
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += connection.recv(65536)
        self.received.append(head + b"\r\n\r\n" + body)
        return self.received[-1]

    def close(self) -> None:
        """Stop, and wait for every handler to end."""
        self.stopping.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            pass
        self._accepting.join()
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


@contextmanager
def serving(handler: Callable[[RawServer, socket.socket, int], None]) -> Iterator[RawServer]:
    """Run a raw server for a while."""
    box: list[RawServer] = []
    server = RawServer(lambda connection, index: handler(box[0], connection, index))
    box.append(server)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client_for(url: str, **options: Any) -> Iterator[Msg91Client]:
    """Make a client that ignores the environment's proxies and waits for little."""
    settings: dict[str, Any] = {"proxy": "", "read_timeout": 5.0, "total_timeout": 10.0, **options}
    client = Msg91Client(url, KEY, **settings)
    try:
        yield client
    finally:
        client.close()


def http(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """Write an answer with a content length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answering(*answers: bytes) -> Callable[[RawServer, socket.socket, int], None]:
    """Answer each request of a connection with the next of the given answers, over and over."""

    def handler(server: RawServer, connection: socket.socket, _: int) -> None:
        count = 0
        while server.read_request(connection) is not None:
            connection.sendall(answers[count % len(answers)])
            count += 1

    return handler


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


# --- what works ---------------------------------------------------------------------------------------------------


def test_request_on_the_wire() -> None:
    """The request carries path, query, authkey, type and body exactly, and the connection is used again."""
    with serving(answering(http(SUCCESS))) as server, client_for(server.url) as client:
        answer = client.send(Request("POST", "/api/v5/flow", b'{"a":1}', query={"x": "1 2"}, headers={"X-More": "y"}))
        client.send(POST)
        assert (answer.klass, answer.request_id, answer.status) == (AnswerClass.ACCEPTED, REQUEST_ID, 200)
        assert answer.sent
        assert answer.elapsed > 0
        head, _, body = server.received[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /api/v5/flow?x=1+2 HTTP/1.1"
        headers = {line.split(": ")[0].lower(): line.split(": ")[1] for line in lines[1:]}
        assert headers["authkey"] == KEY
        assert headers["host"] == f"127.0.0.1:{server.port}"
        assert headers["content-type"] == "application/json"
        assert headers["content-length"] == "7"
        assert headers["x-more"] == "y"
        assert "transfer-encoding" not in headers
        assert body == b'{"a":1}'
        assert server.connections == 1


def test_chunked_and_connection_closing_answers() -> None:
    """Answers come in any framing of HTTP."""
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SUCCESS), SUCCESS)
    with serving(answering(chunked)) as server, client_for(server.url) as client:
        assert [client.send(POST).klass for _ in range(2)] == [AnswerClass.ACCEPTED] * 2
        assert server.connections == 1

    def until_the_end(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + SUCCESS)

    with serving(until_the_end) as server, client_for(server.url) as client:
        assert client.send(POST).klass is AnswerClass.ACCEPTED


def test_error_statuses_and_bodies_become_answers() -> None:
    """Refusals and Retry-After come through as read from status, headers and body."""
    throttled = http(b"", "429 Too Many Requests", "Retry-After: 7")
    refused = http(b'{"type":"error","message":"Invalid authkey","code":"201"}')
    with serving(answering(throttled, refused)) as server, client_for(server.url) as client:
        first, second = client.send(POST), client.send(POST)
        assert (first.klass, first.retry_after) == (AnswerClass.THROTTLED, 7.0)
        assert (second.klass, second.code) == (AnswerClass.ACCOUNT, "201")


def test_redirects_are_not_followed() -> None:
    """A redirect is answered as a wrong base URL; the key is not carried to another host."""
    moved = http(b"", "302 Found", "Location: http://127.0.0.1:1/elsewhere")
    with serving(answering(moved)) as server, client_for(server.url) as client:
        assert client.send(POST).klass is AnswerClass.ACCOUNT
        assert len(server.received) == 1


@pytest.mark.parametrize("location", ["http://[::1", "", "//", "ftp://x/y", "http://x:99999/", "\xff"])
def test_redirects_to_nowhere(location: str) -> None:
    """A redirect says the same whatever its Location is worth, and its connection is used again."""
    moved = b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: " + location.encode("latin-1") + b"\r\n\r\n"
    with serving(answering(moved)) as server, client_for(server.url) as client:
        assert [client.send(POST).klass for _ in range(2)] == [AnswerClass.ACCOUNT] * 2
        assert server.connections == 1


def test_threads_never_get_each_others_answers() -> None:
    """Forty threads on one client each get the answer to their own request."""

    def echo(server: RawServer, connection: socket.socket, _: int) -> None:
        while (request := server.read_request(connection)) is not None:
            body = request.partition(b"\r\n\r\n")[2]
            connection.sendall(http(orjson.dumps({"type": "success", "message": body.decode()})))

    with serving(echo) as server, client_for(server.url, max_connections=20) as client:

        def ask(number: int) -> bool:
            token = f"request-{number:06d}"
            return client.send(Request("POST", "/x", token.encode())).request_id == token

        with ThreadPoolExecutor(40) as pool:
            assert all(pool.map(ask, range(1000)))
        assert server.connections <= 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


def _tls_server_side(connection: socket.socket, certificate: Path) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context.wrap_socket(connection, server_side=True)


def test_tls(certificate: Path) -> None:
    """Over TLS the same holds; an unknown authority is refused before anything is written."""
    seen: list[bytes | None] = []

    def handler(server: RawServer, connection: socket.socket, _: int) -> None:
        secure = _tls_server_side(connection, certificate)
        while (request := server.read_request(secure)) is not None:
            seen.append(request)
            secure.sendall(http(SUCCESS))

    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(handler) as server:
        url = f"https://127.0.0.1:{server.port}"
        with client_for(url, ssl_context=trusting) as client:
            assert [client.send(POST).klass for _ in range(2)] == [AnswerClass.ACCEPTED] * 2
            assert server.connections == 1
        with client_for(url) as client:
            answer = client.send(POST)
            assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "tls_failed", False)
            assert "certificate verify failed" in answer.message
        assert len(seen) == 2


def test_probe() -> None:
    """The probe says whether MSG91 knows the key, and sends nothing but a look at a made-up OTP."""
    known = http(b'{"message":"Mobile no. not found","type":"error"}')
    unknown = http(b'{"message":"Invalid authkey","type":"error","code":"201"}')
    blocked = http(b'{"status":"fail","hasError":true,"errors":"Unauthorized","code":"401","apiError":"418"}')
    gateway = http(b"<html>bad request</html>", "400 Bad Request")
    with serving(answering(known, unknown, blocked, gateway)) as server, client_for(server.url) as client:
        classes = [client.probe().klass for _ in range(4)]
        assert classes == [AnswerClass.ACCEPTED, AnswerClass.ACCOUNT, AnswerClass.ACCOUNT, AnswerClass.REQUEST]
        assert server.received[0].startswith(b"GET /api/v5/otp/verify?otp=0000&mobile=910000000000 HTTP/1.1\r\n")
    assert Msg91Client(server.url, KEY, proxy="").probe().klass is AnswerClass.RETRY


def test_compressed_answer_that_nobody_asked_for() -> None:
    """Compression is not asked for; an answer that comes compressed all the same is read."""
    packed = http(gzip.compress(SUCCESS), "200 OK", "Content-Encoding: gzip")
    with serving(answering(packed)) as server, client_for(server.url) as client:
        assert client.send(POST).request_id == REQUEST_ID
        assert b"\r\naccept-encoding: identity\r\n" in server.received[0].lower()


# --- surely not sent ----------------------------------------------------------------------------------------------


def test_refused_connection() -> None:
    """A refused connection is surely not sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with client_for(f"http://127.0.0.1:{port}") as client:
        answer = client.send(POST)
    assert (answer.klass, answer.code, answer.sent, answer.status) == (AnswerClass.RETRY, "connect_failed", False, None)
    assert "refused" in answer.message.lower()


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first address of a name refuses, the next one is used."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()
    with serving(answering(http(SUCCESS))) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (closed, ("127.0.0.1", server.port))
        ]
        monkeypatch.setattr(network, "_resolve", lambda *_: found)
        with client_for("http://api.example") as client:
            assert client.send(POST).klass is AnswerClass.ACCEPTED
        monkeypatch.setattr(network, "_resolve", lambda *_: [])
        with client_for("http://api.example") as client:
            assert client.send(POST).code == "name_not_resolved"


def test_no_more_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is out of file descriptors has surely not sent anything."""

    def none_left(*_: Any) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with client_for("http://127.0.0.1:9") as client:
        monkeypatch.setattr(network.socket, "socket", none_left)
        answer = client.send(POST)
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "connect_failed", False)


def test_unknown_host() -> None:
    """A host name that does not resolve is surely not sent."""
    with client_for("http://no-such-host.invalid") as client:
        answer = client.send(POST)
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "name_not_resolved", False)


def test_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that never comes back does not hold the request beyond its connect timeout."""
    release = threading.Event()
    real = socket.getaddrinfo

    def hanging(host: str, *args: Any, **options: Any) -> Any:
        if options.get("flags") == socket.AI_NUMERICHOST:
            return real(host, *args, **options)
        release.wait()
        return []

    monkeypatch.setattr(network.socket, "getaddrinfo", hanging)
    with client_for("http://api.example", connect_timeout=0.2) as client:
        answer = client.send(POST)
    release.set()
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "connect_timeout", False)


def test_address_that_swallows_packets() -> None:
    """A connection that is never made times out and is surely not sent."""
    # A full backlog: the kernel drops further connection requests without a word.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                waiting.append(filler)
            with client_for(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=0.3) as client:
                answer = client.send(POST)
        finally:
            for filler in waiting:
                filler.close()
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "connect_timeout", False)


def test_tls_to_a_plain_port() -> None:
    """A server that speaks no TLS is surely not sent anything."""

    def plain(_: RawServer, connection: socket.socket, __: int) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    with serving(plain) as server, client_for(f"https://127.0.0.1:{server.port}") as client:
        answer = client.send(POST)
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "tls_failed", False)


def test_tls_handshake_that_hangs() -> None:
    """A handshake that never ends times out and is surely not sent."""

    def silent(server: RawServer, connection: socket.socket, _: int) -> None:
        server.stopping.wait()

    with serving(silent) as server, client_for(f"https://127.0.0.1:{server.port}", connect_timeout=0.2) as client:
        answer = client.send(POST)
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "connect_timeout", False)


def test_no_free_connection() -> None:
    """A request that got no connection in time is surely not sent."""
    arrived, release = threading.Event(), threading.Event()

    def slow(server: RawServer, connection: socket.socket, _: int) -> None:
        while server.read_request(connection) is not None:
            arrived.set()
            release.wait()
            connection.sendall(http(SUCCESS))

    with serving(slow) as server, client_for(server.url, max_connections=1, pool_timeout=0.1) as client:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.send, POST)
            arrived.wait()
            second = client.send(POST)
            release.set()
            assert first.result().klass is AnswerClass.ACCEPTED
        assert (second.klass, second.code, second.sent) == (AnswerClass.RETRY, "pool_timeout", False)
        assert len(server.received) == 1


def test_write_by_is_checked_before_the_first_byte() -> None:
    """A request whose time to be written has passed is handed back without a byte, on new and on used connections."""
    with serving(answering(http(SUCCESS))) as server, client_for(server.url) as client:
        late = client.send(POST, write_by=time.monotonic() - 0.001)
        assert (late.klass, late.code, late.sent) == (AnswerClass.RETRY, "handed_back", False)
        assert client.send(POST, write_by=time.monotonic() + 60).klass is AnswerClass.ACCEPTED
        late = client.send(POST, write_by=time.monotonic() - 0.001)
        assert (late.klass, late.code, late.sent) == (AnswerClass.RETRY, "handed_back", False)
        assert client.send(POST).klass is AnswerClass.ACCEPTED
        assert len(server.received) == 2


def test_closed_client() -> None:
    """What is sent by a closed client is surely not sent, and says so."""
    with serving(answering(http(SUCCESS))) as server:
        with client_for(server.url) as client:
            assert client.send(POST).klass is AnswerClass.ACCEPTED
        answer = client.send(POST)
        assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "closed", False)
        assert len(server.received) == 1


def test_idle_connections_are_closed_in_time() -> None:
    """A connection that has been idle too long is not used again."""
    with serving(answering(http(SUCCESS))) as server, client_for(server.url, keepalive_expiry=0.0) as client:
        assert [client.send(POST).klass for _ in range(3)] == [AnswerClass.ACCEPTED] * 3
        assert server.connections == 3


def test_deadline_that_has_passed() -> None:
    """With no time left nothing is even connected to."""
    with serving(answering(http(SUCCESS))) as server, client_for(server.url) as client:
        answer = client.send(POST, deadline=time.monotonic() - 1)
        assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "deadline", False)
        assert server.connections == 0


def test_pooled_connection_closed_by_the_server_is_replaced() -> None:
    """A kept connection that the server has ended meanwhile is noticed and replaced by a new one."""
    closed = threading.Event()

    def once(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        connection.sendall(http(SUCCESS))
        connection.close()
        closed.set()

    with serving(once) as server, client_for(server.url) as client:
        for _ in range(3):
            assert client.send(POST).klass is AnswerClass.ACCEPTED
            closed.wait()
            closed.clear()
        assert server.connections == 3


def test_stale_connection_that_takes_no_byte_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept connection that refuses the first byte is replaced within the same call: nothing was written."""
    closed = threading.Event()

    def once_then_reset(server: RawServer, connection: socket.socket, index: int) -> None:
        server.read_request(connection)
        connection.sendall(http(SUCCESS))
        if index == 0:
            reset(connection)
            closed.set()
        else:
            server.read_request(connection)

    # The race: the pool looks just before the reset arrives.
    monkeypatch.setattr(network, "_is_readable", lambda sock: sock.fileno() < 0)
    with serving(once_then_reset) as server, client_for(server.url) as client:
        assert client.send(POST).klass is AnswerClass.ACCEPTED
        closed.wait()
        answer = client.send(POST)
        assert (answer.klass, answer.sent) == (AnswerClass.ACCEPTED, True)
        assert (server.connections, len(server.received)) == (2, 2)


def test_connections_that_never_take_a_byte() -> None:
    """When every new connection is refused at the first byte too, the end is a safe retry, not a loop."""

    class Unwritable(network.Stream):
        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._socket.shutdown(socket.SHUT_WR)
            super().write(buffer, timeout)

    with serving(answering(http(SUCCESS))) as server, client_for(server.url) as client:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network, "Stream", Unwritable)
            answer = client.send(POST)
        assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "connection_closed", False)
        assert server.received == []
        assert client.send(POST).klass is AnswerClass.ACCEPTED


# --- maybe sent ---------------------------------------------------------------------------------------------------


def test_stale_connection_that_took_bytes_leaves_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes written to a connection that the server was just ending may have been read: no second try."""
    closed = threading.Event()

    def once(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        connection.sendall(http(SUCCESS))
        connection.close()
        closed.set()

    # The race: the pool looks just before the end of the connection arrives.
    monkeypatch.setattr(network, "_is_readable", lambda sock: sock.fileno() < 0)
    with serving(once) as server, client_for(server.url) as client:
        assert client.send(POST).klass is AnswerClass.ACCEPTED
        closed.wait()
        answer = client.send(POST)
        assert (answer.klass, answer.sent) == (AnswerClass.UNKNOWN, True)
        assert server.connections == 1


def _close_at_once(_: RawServer, connection: socket.socket, __: int) -> None:
    connection.shutdown(socket.SHUT_WR)
    connection.recv(65536)


def _close_after_headers(_: RawServer, connection: socket.socket, __: int) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1)
    reset(connection)


def _close_after_request(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)


def _half_a_status_line(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(b"HTTP/1.1 20")


def _half_the_headers(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-le")


def _half_the_body(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(http(SUCCESS)[:-10])


def _body_cut_by_reset(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(http(SUCCESS)[:-10])
    reset(connection)


def _garbage(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(b"\x15\x03\x01\x00\x02\x02P not HTTP at all\r\n\r\n")


def _endless_headers(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x-filler: " + b"a" * 1000 + b"\r\n")


def _bad_chunks(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n" + SUCCESS)


def _empty_ok(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(http(b""))


def _gateway_error(server: RawServer, connection: socket.socket, _: int) -> None:
    server.read_request(connection)
    connection.sendall(http(b"<html>502</html>", "502 Bad Gateway"))


@pytest.mark.parametrize(
    "handler",
    [
        _close_at_once,
        _close_after_headers,
        _close_after_request,
        _half_a_status_line,
        _half_the_headers,
        _half_the_body,
        _body_cut_by_reset,
        _garbage,
        _endless_headers,
        _bad_chunks,
        _empty_ok,
        _gateway_error,
    ],
)
def test_whatever_happens_after_the_first_byte_leaves_in_doubt(handler: Any) -> None:
    """Once a byte has left, only an answer can say that nothing was taken; and the client lives on."""
    with serving(handler) as server, client_for(server.url) as client:
        answer = client.send(POST)
        assert (answer.klass, answer.sent) == (AnswerClass.UNKNOWN, True)
        assert server.connections == 1
        assert client.send(POST).klass is AnswerClass.UNKNOWN


def test_hanging_server() -> None:
    """A server that never answers leaves in doubt after the read timeout."""

    def hang(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        server.stopping.wait()

    with serving(hang) as server, client_for(server.url, read_timeout=0.2) as client:
        answer = client.send(POST)
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.UNKNOWN, "read_timeout", True)


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nx-drip: ", b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"]
)
def test_dripping_server(begin: bytes) -> None:
    """A server that drips a byte at a time for ever is cut off by the total deadline, in headers and in the body."""

    def drip(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        connection.sendall(begin)
        while not server.stopping.wait(0.02):
            connection.sendall(b"H")

    with serving(drip) as server, client_for(server.url, read_timeout=30.0, total_timeout=0.5) as client:
        answer = client.send(POST)
    assert (answer.klass, answer.sent) == (AnswerClass.UNKNOWN, True)
    assert answer.code == "deadline" or "cut off" in answer.message


def test_deadline_of_the_caller_counts_too() -> None:
    """A caller's deadline earlier than the client's own ends the wait."""

    def hang(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        server.stopping.wait()

    with serving(hang) as server, client_for(server.url, read_timeout=60.0, total_timeout=60.0) as client:
        answer = client.send(POST, deadline=time.monotonic() + 0.3)
    assert (answer.klass, answer.code) == (AnswerClass.UNKNOWN, "deadline")


def test_server_that_reads_slowly() -> None:
    """A server that hardly reads cannot stretch an upload beyond the total deadline."""

    def sip(server: RawServer, connection: socket.socket, _: int) -> None:
        while not server.stopping.wait(0.02):
            connection.recv(1000)

    big = Request("POST", "/x", b"x" * 30_000_000)
    with serving(sip) as server, client_for(server.url, write_timeout=30.0, total_timeout=0.5) as client:
        answer = client.send(big)
    assert (answer.klass, answer.code, answer.sent) == (AnswerClass.UNKNOWN, "deadline", True)


# --- answers that must not be misjudged ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "klass"), [("200 OK", AnswerClass.UNKNOWN), ("400 Bad Request", AnswerClass.REQUEST)]
)
def test_gigantic_body(status: str, klass: AnswerClass) -> None:
    """An endless body is not read to its end, and the answer is judged all the same."""
    ended = threading.Event()

    def flood(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        connection.sendall(f"HTTP/1.1 {status}\r\ncontent-length: 1000000000000\r\n\r\n".encode())
        try:
            while True:
                connection.sendall(b"x" * 65536)
        finally:
            ended.set()

    with serving(flood) as server, client_for(server.url) as client:
        answer = client.send(POST)
        assert answer.klass is klass
        assert len(answer.body) <= 2048
        assert ended.wait(10)


def test_content_length_too_long() -> None:
    """A body that is whole although the length promised more is believed."""

    def handler(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        connection.sendall(http(SUCCESS, length=len(SUCCESS) + 50))

    with serving(handler) as server, client_for(server.url) as client:
        assert client.send(POST).request_id == REQUEST_ID


@pytest.mark.parametrize("extra", [b" ", b"\n", b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", http(SUCCESS)])
def test_leftover_bytes_never_answer_the_next_request(extra: bytes) -> None:
    """Bytes that follow an answer are thrown away with their connection, not taken for the next answer."""
    other = orjson.dumps({"message": "f" * 24, "type": "success"})

    def handler(server: RawServer, connection: socket.socket, index: int) -> None:
        while server.read_request(connection) is not None:
            connection.sendall(http(SUCCESS) + extra if index == 0 else http(other))

    with serving(handler) as server, client_for(server.url) as client:
        assert client.send(POST).request_id == REQUEST_ID
        assert client.send(POST).request_id == "f" * 24
        assert server.connections == 2


def test_leftover_bytes_after_chunks() -> None:
    """The same holds for answers in chunks."""
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SUCCESS), SUCCESS)

    def handler(server: RawServer, connection: socket.socket, _: int) -> None:
        while server.read_request(connection) is not None:
            connection.sendall(chunked + chunked)

    with serving(handler) as server, client_for(server.url) as client:
        assert [client.send(POST).klass for _ in range(3)] == [AnswerClass.ACCEPTED] * 3
        assert server.connections == 3


def test_content_length_too_short() -> None:
    """A body cut by its own length is in doubt, and its rest does not spoil the next request."""

    def handler(server: RawServer, connection: socket.socket, index: int) -> None:
        while server.read_request(connection) is not None:
            connection.sendall(http(SUCCESS, length=20) if index == 0 else http(SUCCESS))

    with serving(handler) as server, client_for(server.url) as client:
        assert client.send(POST).klass is AnswerClass.UNKNOWN
        assert client.send(POST).request_id == REQUEST_ID


def test_refusal_before_the_body_was_read() -> None:
    """An answer that comes before the body was read is an answer."""

    def refuse(server: RawServer, connection: socket.socket, _: int) -> None:
        connection.recv(1000)
        connection.sendall(http(b"too large", "413 Payload Too Large"))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1_000_000):
            pass

    with serving(refuse) as server, client_for(server.url) as client:
        answer = client.send(Request("POST", "/x", b"x" * 5_000_000))
    assert (answer.klass, answer.status) == (AnswerClass.REQUEST, 413)


def test_interim_answers() -> None:
    """Interim answers are skipped."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    with serving(answering(interim + http(SUCCESS))) as server, client_for(server.url) as client:
        assert client.send(POST).klass is AnswerClass.ACCEPTED


# --- proxies ------------------------------------------------------------------------------------------------------


def test_plain_request_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment is used, except for hosts it is not meant for and this machine."""
    with serving(answering(http(SUCCESS))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        client = Msg91Client("http://msg91.example", KEY)
        assert client.send(POST).klass is AnswerClass.ACCEPTED
        assert proxy.received[0].startswith(b"POST http://msg91.example/api/v2/sendsms HTTP/1.1\r\n")
        client.close()
        monkeypatch.setenv("no_proxy", "msg91.invalid")
        client = Msg91Client("http://msg91.invalid", KEY)
        assert client.send(POST).code == "name_not_resolved"
        client.close()
        with serving(answering(http(SUCCESS))) as server:
            client = Msg91Client(server.url, KEY)
            assert client.send(POST).klass is AnswerClass.ACCEPTED
            assert len(server.received) == 1
            client.close()


@pytest.mark.parametrize("refusal", ["407 Proxy Authentication Required", "502 Bad Gateway"])
def test_proxy_that_refuses_the_tunnel(refusal: str) -> None:
    """What a proxy refuses to connect was surely not sent, although bytes went to the proxy."""
    with (
        serving(answering(http(b"", refusal))) as proxy,
        client_for("https://msg91.example", proxy=proxy.url) as client,
    ):
        answer = client.send(POST)
        assert (answer.klass, answer.code, answer.sent) == (AnswerClass.RETRY, "proxy_refused", False)
        assert proxy.received[0].startswith(b"CONNECT msg91.example:443 HTTP/1.1\r\n")
        assert KEY.encode() not in proxy.received[0]


def test_tunnel_through_a_proxy(certificate: Path) -> None:
    """TLS through a proxy's tunnel works, and the time to write is checked at the request, not at the tunnel."""

    def proxy_and_server(server: RawServer, connection: socket.socket, _: int) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        secure = _tls_server_side(connection, certificate)
        while server.read_request(secure) is not None:
            secure.sendall(http(SUCCESS))

    trusting = ssl.create_default_context(cafile=str(certificate))
    with serving(proxy_and_server) as proxy:
        secret = f"http://user:s3cret@127.0.0.1:{proxy.port}"
        with client_for("https://localhost", proxy=secret, ssl_context=trusting) as client:
            assert client.send(POST, write_by=time.monotonic() - 1).code == "handed_back"
            assert [client.send(POST).klass for _ in range(2)] == [AnswerClass.ACCEPTED] * 2
            assert "s3cret" not in repr(client)
            assert proxy.connections == 2
        assert b"Proxy-Authorization: Basic " in proxy.received[0]


# --- secrets ------------------------------------------------------------------------------------------------------


def test_the_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Neither repr, nor logs, nor answers show the key, even when the server repeats it."""
    echo = http(orjson.dumps({"type": "error", "message": f"key {KEY} is not good", "authkey": KEY}))
    caplog.set_level(logging.DEBUG)
    with serving(answering(echo)) as server, client_for(server.url) as client:
        answer = client.send(POST)
        assert KEY not in repr(client)
    assert answer.klass is AnswerClass.REQUEST
    assert KEY not in repr(answer)
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", ["", "two words", "line\nend", "naïve", "tab\t"])
def test_keys_that_cannot_be_a_header(key: str) -> None:
    """A key that cannot be a header is refused at once, unshown."""
    with pytest.raises(ClientSettingError, match="authkey") as caught:
        Msg91Client("http://127.0.0.1", key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "control.msg91.com",
        "ftp://x",
        "https://",
        "https://x/api/v5",
        "https://u:pw@x",
        "https://x?y",
        "https://x:99999",
        "https://a b",
        "https://münchen.example",
        f"https://{'a' * 64}.com",
        "https://[::1",
    ],
)
def test_base_urls_that_are_no_origin(url: str) -> None:
    """A base URL that is more or less than an origin is refused at once."""
    with pytest.raises(ClientSettingError, match="base_url"):
        Msg91Client(url, KEY)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://"])
def test_proxies_that_cannot_be_used(proxy: str) -> None:
    """A proxy of another kind is refused at once."""
    with pytest.raises(ClientSettingError, match="proxy"):
        Msg91Client("https://control.msg91.com", KEY, proxy=proxy)


@pytest.mark.parametrize("path", ["api/v5", "/a b", "/a\r\nx: y", "/ü", "/a?b", "/a#b"])
def test_paths_that_are_not_encoded(path: str) -> None:
    """A path that could change the request is a mistake of the caller."""
    client = Msg91Client("http://127.0.0.1:9", KEY, proxy="")
    with pytest.raises(ValueError, match="path"):
        client.send(Request("GET", path))
