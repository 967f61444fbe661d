"""Models fetched into the cache, from a hub of a few files on this machine."""

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from bioner.models.model_files import find_problem
from bioner.models.snapshots import needed_weights
from tests import forked

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHARDS = {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors.index.json": json.dumps({"weight_map": SHARDS}).encode(),
    **{file: save({name: torch.zeros(2)}) for name, file in SHARDS.items()},
    "pytorch_model.bin": b"the same in another format",
    "consolidated.safetensors": b"the same in a third",
    "original/params.json": b"{}",
}


class Hub(BaseHTTPRequestHandler):
    """The part of the hub that a download needs: the files of OWNER/NAME; OWNER/gated is closed."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.split("?")[0]
        if "/teapot" in path:
            return self.send(418, b"no coffee", {}, body)
        if "/portal" in path:
            return self.send(200, b"<html>Log in</html>", {}, body)
        if "/gated" in path:
            return self.send(403, b"closed", {"X-Error-Code": "GatedRepo"}, body)
        if path.startswith("/api/models/OWNER/NAME/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(text), "oid": "0"}
                for name, text in FILES.items()
            ]
            return self.send(200, json.dumps(tree).encode(), {}, body)
        if path.startswith("/api/models/OWNER/NAME"):
            if path.endswith("/nowhere"):
                return self.send(404, b"none", {"X-Error-Code": "RevisionNotFound"}, body)
            sha = COMMIT[::-1] if path.endswith(COMMIT[::-1]) else COMMIT
            info = {
                "id": "OWNER/NAME",
                "sha": sha,
                "siblings": [{"rfilename": name} for name in FILES],
            }
            return self.send(200, json.dumps(info).encode(), {}, body)
        text = FILES.get(
            path.split(f"/{COMMIT}/")[-1].split(f"/{COMMIT[::-1]}/")[-1].split("/main/")[-1]
        )
        if not path.startswith("/OWNER/NAME/resolve/") or text is None:
            return self.send(404, b"none", {"X-Error-Code": "EntryNotFound"}, body)
        asked.append(path)
        commit = COMMIT[::-1] if COMMIT[::-1] in path else COMMIT
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hash(text) & 0xFFFFFF:x}"'}
        return self.send(200, text, headers, body)

    def send(self, code, text, headers, body):
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(text)

    def log_message(self, *_):
        """Quiet."""


asked = []


@pytest.fixture
def hub():
    asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def snapshot(folder, hub, name="OWNER/NAME", revision="main", **environ):
    entry = json.dumps({"family": "encoder", "source": {"hub": name, "revision": revision}})
    known = {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(folder / "cache"),
        "HF_TOKEN": "hf_secret",
        "HF_HUB_DISABLE_XET": "1",
    }
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    command = [
        str(Path(sys.executable).parent / "bioner"),
        "download-model",
        "mine",
        "--entry",
        entry,
    ]
    out = folder / "models/mine.json"
    return subprocess.run(
        [*command, "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        env=online | known | environ,
    ), out


def test_a_model_is_fetched_whole_and_its_commit_noted(tmp_path, hub):
    done, out = snapshot(tmp_path, hub)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert (record["hub"], record["revision"], record["commit"]) == ("OWNER/NAME", "main", COMMIT)
    assert set(record["files"]) == set(FILES) - {
        "pytorch_model.bin",
        "consolidated.safetensors",
        "original/params.json",
    }
    assert "hf_secret" not in done.stdout + done.stderr


def test_what_was_noted_stays_and_the_cache_is_filled_again(tmp_path, hub):
    """Another cache, or one that was cleared; the branch may stand for another commit by now."""
    _, out = snapshot(tmp_path, hub)
    older = json.loads(out.read_text()) | {"commit": COMMIT[::-1]}
    out.write_text(json.dumps(older, indent=2) + "\n")
    before = out.read_bytes()
    asked.clear()
    done, _ = snapshot(tmp_path, hub, HF_HOME=str(tmp_path / "other"))
    assert done.returncode == 0, done.stderr
    assert asked
    assert all(f"/{COMMIT[::-1]}/" in path for path in asked), "at the commit, not at the branch"
    assert out.read_bytes() == before


def test_a_record_of_another_model_is_replaced(tmp_path, hub):
    out = tmp_path / "models/mine.json"
    out.parent.mkdir()
    out.write_text('{"hub": "other/model", "revision": "main", "commit": "abc"}')
    snapshot(tmp_path, hub)
    assert json.loads(out.read_text())["hub"] == "OWNER/NAME"


def test_a_training_takes_no_other_model_s_commit(tmp_path):
    record = tmp_path / "other.json"
    record.write_text('{"hub": "other/model", "revision": "main", "commit": "abc"}')
    entry = json.dumps({"family": "encoder", "source": {"hub": "OWNER/NAME"}})
    command = ["bioner", "train", "mine", "--entry", entry, "--seed", "1"]
    paths = [
        "--dataset",
        "d",
        "--data",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--snapshot",
        str(record),
    ]
    done = forked.run([*command, *paths], tmp_path)
    assert done.returncode == 2
    assert "a snapshot of other/model; expected one of OWNER/NAME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_job_without_a_network_finds_it_by_branch_and_by_commit(tmp_path, hub):
    snapshot(tmp_path, hub)
    asked.clear()
    for revision in ("main", COMMIT):
        done, out = snapshot(tmp_path, hub, revision=revision, HF_HUB_OFFLINE="1")
        assert done.returncode == 0, done.stderr
        assert json.loads(out.read_text())["commit"] == COMMIT
    assert not asked


def refused(done, out, words):
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hf_secret" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()


def test_a_gated_model_says_what_to_do_and_no_token(tmp_path, hub):
    refused(*snapshot(tmp_path, hub, "OWNER/gated"), "a gated model, and no leave to read it")


def test_the_password_in_the_hub_s_address_is_not_told(tmp_path, hub):
    done, out = snapshot(tmp_path, hub.replace("://", "://me:open-sesame@"), "OWNER/teapot")
    refused(done, out, "418")
    assert "sesame" not in done.stdout + done.stderr


def test_a_revision_that_is_not_there(tmp_path, hub):
    refused(*snapshot(tmp_path, hub, revision="nowhere"), "no revision 'nowhere'")


@pytest.mark.parametrize("name", ["OWNER/portal", "OWNER/teapot"])
def test_what_stands_between_here_and_the_hub_is_told(tmp_path, hub, name):
    refused(*snapshot(tmp_path, hub, name), "the hub cannot be reached")


def test_no_connection(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens
        done, out = snapshot(tmp_path, f"http://127.0.0.1:{closed.getsockname()[1]}")
    refused(done, out, "the hub cannot be reached ([Errno 111] Connection refused)")
    assert "Check network, proxy (HTTPS_PROXY)" in done.stderr


@pytest.mark.parametrize(
    ("name", "found"), [("", "no source.hub"), (".", "a local folder in source.hub (.)")]
)
def test_what_is_not_the_hub_s_needs_no_snapshot(tmp_path, hub, name, found):
    done, out = snapshot(tmp_path, hub, name)
    refused(done, out, f"mine: found {found}; expected a model of the hub. It needs no snapshot.")
    assert not asked


def test_an_empty_cache_without_a_network(tmp_path, hub):
    refused(*snapshot(tmp_path, hub, HF_HUB_OFFLINE="1"), "hub access is off (HF_HUB_OFFLINE)")


def test_a_cache_that_lost_a_shard(tmp_path, hub):
    snapshot(tmp_path, hub)
    next((tmp_path / "cache").rglob(SHARDS["b"])).unlink()
    (tmp_path / "models/mine.json").unlink()
    refused(*snapshot(tmp_path, hub, HF_HUB_OFFLINE="1"), f"no {SHARDS['b']}")


def test_safetensors_are_preferred_and_other_formats_left_alone():
    assert needed_weights(FILES) == list(SHARDS.values())
    assert needed_weights(["pytorch_model.bin", "rust_model.ot"]) == ["pytorch_model.bin"]


@pytest.mark.parametrize(
    "index", ['{"weight_map": {"a', "{}", "[]", '{"weight_map": {"a": 1}}', '{"weight_map": []}']
)
def test_a_broken_index_is_told(tmp_path, index):
    for name, text in {
        "config.json": "{}",
        "tokenizer.json": "{}",
        "model.safetensors.index.json": index,
    }.items():
        (tmp_path / name).write_text(text)
    assert "index" in (find_problem(tmp_path) or "")
