"""Attacks over sockets of every kind, and on the network itself."""

import fcntl
import os
import socket
import struct
import urllib.request

from app.tools import NUMBER


def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as plug:
        plug.settimeout(5)
        plug.connect(path if not path.startswith("@") else "\0" + path[1:])
        return "connected"


def send_unix(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
        plug.sendto(b"READY=1", "\0" + path[1:])
        return "sent"


def connect_tcp(address, port):
    with socket.create_connection((address, int(port)), timeout=3):
        return "connected"


def scan():
    """Every TCP port of the loopback at which somebody listens."""
    found = []
    for port in range(1, 65536):
        with socket.socket() as plug:
            plug.settimeout(1)
            if plug.connect_ex(("127.0.0.1", port)) == 0 and plug.getsockname()[1] != port:
                found.append(port)
    return " ".join(map(str, found))


def ask_udp(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.settimeout(2)
        plug.connect((address, int(port)))
        plug.send(b"hello")
        return plug.recv(100).decode()


def own_loopback():
    """TCP and UDP to ourselves, which is nobody else's business."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5),
    ):
        server.accept()[0].close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
            plug.sendto(b"x", server.getsockname())
            return f"heard {server.recv(1).decode()}"


def own_database():
    with socket.socket(socket.AF_UNIX) as plug:
        place = f"{os.environ['DATABASE_HOST']}/.s.PGSQL.{os.environ['DATABASE_PORT']}"
        plug.connect(place)
        return "connected"


def call_url(url, key):
    request = urllib.request.Request(url, headers={"x-user-authorization": key})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def open_the_way(address):
    """Take away the route by which an address leads nowhere (SIOCDELRT)."""
    place = struct.pack("=H2x4s8x", socket.AF_INET, socket.inet_aton(address))
    mask = struct.pack("=H2x4s8x", socket.AF_INET, b"\xff\xff\xff\xff")
    route = struct.pack("L16s16s16sHhLPhPLLH", 0, place, bytes(16), mask, 5, 0, 0, 0, 0, 0, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        fcntl.ioctl(plug, 0x890C, route)
        return "opened"


def route_by_netlink():
    """Take away the route of metadata addresses (RTM_DELROUTE)."""
    body = struct.pack("BBBBBBBBI", socket.AF_INET, 16, 0, 0, 254, 0, 0, 0, 0)
    body += struct.pack("HH4s", 8, 1, socket.inet_aton("169.254.0.0"))
    head = struct.pack("IHHII", 16 + len(body), 25, 5, 1, 0)  # with a request for an answer
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as plug:
        plug.send(head + body)
        (code,) = struct.unpack_from("i", plug.recv(4096), 16)
        if code:
            raise OSError(-code, os.strerror(-code))
        return "opened"


def change_address():
    """Have the loopback down (SIOCSIFFLAGS)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        fcntl.ioctl(plug, 0x8914, struct.pack("16sh22x", b"lo", 0))
        return "changed"


def open_socket(family):
    with socket.socket(
        NUMBER[family], socket.SOCK_RAW if family in ("AF_PACKET", "AF_KEY") else socket.SOCK_STREAM
    ):
        return "made"


def raw_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "made"


def algorithm_socket():
    with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET):
        return "made"


def rename_host():
    socket.sethostname("intruder")
    return "renamed"


def leak_of_the_host():
    """What the mounts and the name tell of the host."""
    return socket.gethostname() if socket.gethostname() != "service" else ""
