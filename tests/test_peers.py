"""Real peers, which loopback is not: a network of our own in which this machine has another address."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ADDRESS = "203.0.113.5"
_STORY = """
import json, socket, sys
from pathlib import Path
from support import RunningService, TOKEN, read_to_end, json_lines_of

folder, address = Path(sys.argv[1]), sys.argv[2]
told = {}
with RunningService(folder, "--bind", "0.0.0.0:0", "--max-connections-per-peer", "5") as service:
    service.port = int(service.admin("/status")[1]["service"]["listens_on"].rpartition(":")[2])
    service.path = f"/hooks/{TOKEN}"

    def ask(source):
        one = socket.create_connection((address, service.port), timeout=20, source_address=(source, 0))
        one.sendall(f"POST /hooks/{TOKEN} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n[]".encode())
        answer = one.recv(4096)
        return one, int(answer.split()[1]), answer

    kept = [ask(address) for _ in range(8)]
    told["codes"] = [code for _, code, _ in kept]
    told["closed"] = [b"connection: close" in answer and b"retry-after" in answer for _, _, answer in kept]
    told["other"] = ask("203.0.113.6")[1]
    told["loopback"] = [service.post(b"[]")[0] for _ in range(10)]
    many = [service.connect() for _ in range(20)]
    told["refused"] = service.admin("/status")[1]["refused"]
    kept[0][0].close()
    while True:  # until the service has seen that it left
        code = ask(address)[1]
        if code == 200:
            break
    told["after"] = code
    service.settled()
    told["peers"] = sorted({row["peer"] for row in json_lines_of("batches", data_dir=folder)})
print(json.dumps(told))
"""


def test_one_address_has_a_limit_and_loopback_has_none(tmp_path: Path) -> None:
    """Five connections of a real peer stay, more are answered 503; other peers and this machine have theirs."""
    inside = f"ip link set lo up && ip addr add {ADDRESS}/32 dev lo && ip addr add 203.0.113.6/32 dev lo && exec "
    command = ["unshare", "--net", "sh", "-c", inside + '"$@"', "sh", sys.executable, "-c", _STORY]
    tried = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("a network of our own cannot be made here (root, unshare and ip are needed)")
    done = subprocess.run(
        [*command, str(tmp_path / "data"), ADDRESS],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["codes"] == [200] * 5 + [503] * 3
    assert told["closed"] == [False] * 5 + [True] * 3
    assert told["other"] == 200
    assert told["loopback"] == [200] * 10
    assert told["refused"] == {"503": 3}
    assert told["after"] == 200
    assert told["peers"] == ["127.0.0.1", ADDRESS, "203.0.113.6"]
