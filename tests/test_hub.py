"""Downloads: whole and checked, or not there at all."""

import contextlib
import hashlib
import http.server
import io
import os
import pickle
import socket
import threading
import zipfile
from urllib.error import HTTPError, URLError

import pytest
import torch

import facade
from facade import hub


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.arange(1000.0)}, file)
    return file.getvalue()


@pytest.fixture
def server(checkpoint):
    """Serves the checkpoint at every path; what the path says happens to it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        requests: list = []  # noqa: RUF012

        def do_GET(self):
            self.requests.append((self.path, self.headers["User-Agent"]))
            if "missing" in self.path:
                return self.send_error(404)
            body = checkpoint
            if "evil" in self.path:
                file = io.BytesIO()
                torch.save(Evil(), file)
                body = file.getvalue()
            if "zipped" in self.path:
                file = io.BytesIO()
                with zipfile.ZipFile(file, "w") as archive:
                    archive.writestr("inner.pth", checkpoint)
                body = file.getvalue()
            self.send_response(200)
            if "unsized" not in self.path:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:500] if "cut" in self.path else body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        httpd.requests = Handler.requests = []
        yield httpd
        httpd.shutdown()
        thread.join()


class Evil:
    def __reduce__(self):
        return os.system, ("echo unsafe",)


def load_from(url: str, folder, **options):
    return hub.load_state_dict_from_url(url, model_dir=folder, progress=False, **options)


def test_downloads_once(server, tmp_path, capsys):
    url = f"{server.url}/model.pth?download=1"
    for _ in range(2):
        assert load_from(url, tmp_path)["weight"].tolist() == list(range(1000))
    assert server.requests == [("/model.pth?download=1", "torch.hub")]
    assert os.listdir(tmp_path) == ["model.pth"]
    assert capsys.readouterr().out == f'Downloading: "{url}" to {tmp_path / "model.pth"}\n'


def test_file_name_and_map_location(server, tmp_path):
    found = load_from(f"{server.url}/x", tmp_path, file_name="y.pth", map_location="cpu")
    assert found["weight"].device == facade.device("cpu")
    assert os.listdir(tmp_path) == ["y.pth"]


def test_right_hash(server, tmp_path, checkpoint):
    name = f"model-{hashlib.sha256(checkpoint).hexdigest()[:8]}.pth"
    load_from(f"{server.url}/{name}", tmp_path, check_hash=True)
    assert (tmp_path / name).read_bytes() == checkpoint


def test_wrong_hash(server, tmp_path, checkpoint):
    digest = hashlib.sha256(checkpoint).hexdigest()
    texts = []
    for load in (hub.load_state_dict_from_url, torch.hub.load_state_dict_from_url):
        with pytest.raises(RuntimeError) as caught:
            load(f"{server.url}/model-00000000.pth", tmp_path, progress=False, check_hash=True)
        texts.append(str(caught.value))
    assert texts[0] == texts[1] == f'invalid hash value (expected "00000000", got "{digest}")'
    assert os.listdir(tmp_path) == []


def test_no_hash_in_the_name(server, tmp_path):
    load_from(f"{server.url}/model.pth", tmp_path, check_hash=True)
    load_from(f"{server.url}/model-00000000.pth", tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["model-00000000.pth", "model.pth"]


def test_data_that_ends_early(server, tmp_path, checkpoint):
    url = f"{server.url}/cut.pth"
    with pytest.raises(URLError, match=f"cut.pth.*500 of {len(checkpoint)} bytes"):
        load_from(url, tmp_path)
    assert os.listdir(tmp_path) == []


def test_no_length_is_no_error(server, tmp_path):
    load_from(f"{server.url}/unsized.pth", tmp_path)
    assert os.listdir(tmp_path) == ["unsized.pth"]


def test_an_existing_file_survives_a_failure(server, tmp_path):
    target = tmp_path / "model.pth"
    target.write_bytes(b"mine")
    with pytest.raises(URLError):
        hub.download_url_to_file(f"{server.url}/cut.pth", target, progress=False)
    assert target.read_bytes() == b"mine"
    hub.download_url_to_file(f"{server.url}/model.pth", target, progress=False)
    assert facade.load(target)["weight"].shape == (1000,)


def test_missing_on_the_server(server, tmp_path):
    with pytest.raises(HTTPError, match="HTTP Error 404") as caught:
        load_from(f"{server.url}/missing.pth", tmp_path)
    assert f"put it at {tmp_path / 'missing.pth'}" in caught.value.__notes__[0]
    assert os.listdir(tmp_path) == []


def test_connection_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/model.pth"
    with pytest.raises(URLError) as caught:
        load_from(url, tmp_path)
    text = str(caught.value)
    assert url in text
    assert f"put it at {tmp_path / 'model.pth'}" in text
    assert os.listdir(tmp_path) == []


def test_an_interrupt_leaves_nothing(server, tmp_path, monkeypatch):
    class Interrupted(contextlib.nullcontext):
        def __init__(self, **options) -> None:
            super().__init__(self)

        def update(self, count: int) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("tqdm.tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_from(f"{server.url}/model.pth", tmp_path)
    assert os.listdir(tmp_path) == []


def test_progress_bar(server, tmp_path, capsys):
    hub.download_url_to_file(f"{server.url}/model.pth", tmp_path / "a")
    assert "100%" in capsys.readouterr().err
    hub.download_url_to_file(f"{server.url}/model.pth", tmp_path / "b", progress=False)
    assert capsys.readouterr().err == ""


def test_nothing_but_weights_unless_asked(server, tmp_path):
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        load_from(f"{server.url}/evil.pth", tmp_path)


def test_zipped_by_hand(server, tmp_path):
    assert load_from(f"{server.url}/zipped.pth", tmp_path)["weight"].shape == (1000,)


@pytest.mark.parametrize(
    "variables",
    [{}, {"XDG_CACHE_HOME": "/tmp/cache"}, {"TORCH_HOME": "~/models", "XDG_CACHE_HOME": "/tmp/c"}],
)
def test_cache_folder(monkeypatch, variables):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub.get_dir() == torch.hub.get_dir()


def test_default_and_chosen_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    hub.load_state_dict_from_url(f"{server.url}/model.pth", progress=False)
    assert (tmp_path / "hub" / "checkpoints" / "model.pth").exists()
    monkeypatch.setattr(hub, "_hub_dir", None)
    hub.set_dir(tmp_path / "chosen")
    assert hub.get_dir() == str(tmp_path / "chosen")
    hub.load_state_dict_from_url(f"{server.url}/model.pth", progress=False)
    assert (tmp_path / "chosen" / "checkpoints" / "model.pth").exists()
