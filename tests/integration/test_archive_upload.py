"""A `docker save` archive over a connection that is cut in the middle: what was sent is not sent again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from livekit import Live, build_image, ended, publish, remove_image, scores, told
from registrykit import cut_line

from touchstone_client.errors import ConnectionFailed
from touchstone_client.sdk import Client

pytestmark = pytest.mark.docker
PART = 8 * 2**20


def test_an_upload_that_was_cut_goes_on_where_it_was_and_is_scored(
    live: Live, docker_node: str, tmp_path: Path
) -> None:
    slug = publish(live, tmp_path)
    client = live.person("archivist")
    client.join(slug, accept_terms=True)
    dockerfile = 'FROM touchstone/base:1\nCOPY main.py /app/main.py\nCMD ["python3", "/app/main.py"]\n'
    image, archive = build_image(tmp_path / "image", dockerfile), tmp_path / "image.tar"
    subprocess.run(["docker", "save", "--output", str(archive), image], check=True, timeout=120)
    loaded = _id_of(image)
    remove_image(image)
    size = archive.stat().st_size
    half = size // 2

    with cut_line(live.stack.port, after=half) as (port, sent):
        broken = Client(f"http://127.0.0.1:{port}", live.tokens["archivist"], patience=0)
        with pytest.raises(ConnectionFailed), broken:
            broken.upload(archive)
        assert sent[0] >= half
    with cut_line(live.stack.port, after=2 * size) as (port, sent):
        with Client(f"http://127.0.0.1:{port}", live.tokens["archivist"], patience=0) as again:
            submission = again.submit(slug, "open", archive, kind="container")
        resent = sent[0]

    assert size - half <= resent + PART
    assert resent < size - half + 2 * PART, "parts that had arrived were sent again"
    done = ended(client, submission)
    assert done.status == "scored", told(done)
    assert scores(client, done) == {"performance.accuracy": 1.0}
    remove_image(loaded)


def _id_of(image: str) -> str:
    argv = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
