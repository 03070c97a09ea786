"""Downloads through the real huggingface_hub client, from a hub on this machine that misbehaves."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import hub_server
import pytest
import small_disk
import tiny
from hub_server import Hub

from vitpeel import downloads, manifest
from vitpeel.downloads import fetch
from vitpeel.errors import InputError, VitpeelError
from vitpeel.hub import Patience
from vitpeel.locks import Lock
from vitpeel.manifest import Architecture, Entry, File

REPOSITORY = "Salesforce/instructblip-flan-t5-xl"
TINY = Architecture(kind="instructblip", depth=3, heads=4, dtype="float32")
SHARD = "model-00002-of-00003.safetensors"
CHUNK = 100  # bytes that are written at a time, 10 MB by default


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny InstructBLIP in the real layout: three shards and their index, processor, both tokenizers."""
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny.model(tiny.config()).save_pretrained(folder, max_shard_size="160KB")
    tiny.processor(32, 4).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "README.md").write_text("not needed")
    assert (folder / SHARD).is_file(), sorted(folder.iterdir())
    return folder


@pytest.fixture
def hub(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_server.running(Hub()) as made:
        made.add(f"models/{REPOSITORY}", checkpoint)
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
        impatient = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})
        monkeypatch.setattr("huggingface_hub.file_download.time", impatient)
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", CHUNK)
        yield made


@pytest.fixture
def entry() -> Entry:
    return manifest.read().checkpoints["instructblip-flan-t5-xl"].model_copy(update={"architecture": TINY})


class Place:
    """Where things go, and the waits between tries, which are not waited."""

    def __init__(self, root: Path) -> None:
        self.folder, self.lock, self.waits = (
            root / "cache/checkpoints/x",
            root / "cache/locks/x.json",
            list[float](),
        )
        self.patience = Patience(attempts=4, first=1.0, longest=3.0, sleep=self.waits.append)

    def fetch(self, entry: Entry, weights: bool = True) -> Lock:
        return fetch(entry, self.folder, self.lock, self.patience, weights)

    def refusal(self, entry: Entry, kind: type[Exception] = VitpeelError) -> str:
        with pytest.raises(kind) as refused:
            self.fetch(entry)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    def files(self) -> set[str]:
        return {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_everything_arrives_and_is_recorded(hub: Hub, entry: Entry, place: Place, checkpoint: Path) -> None:
    made = place.fetch(entry)
    wanted = {p.relative_to(checkpoint).as_posix() for p in checkpoint.rglob("*") if p.is_file()}
    assert place.files() == wanted - {"pytorch_model.bin", "README.md"} == set(made.files)
    assert "qformer_tokenizer/tokenizer.json" in made.files
    for path, file in made.files.items():
        data = (checkpoint / path).read_bytes()
        assert (place.folder / path).read_bytes() == data
        assert file == File(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    assert made.revision == hub_server.COMMIT
    assert Lock.read(place.lock) == made


def test_a_second_time_nobody_is_asked(hub: Hub, entry: Entry, place: Place) -> None:
    first = place.fetch(entry)
    hub.requests.clear()
    assert place.fetch(entry) == first
    assert hub.requests == []


def test_only_what_is_missing_is_fetched_and_at_the_recorded_commit(
    hub: Hub, entry: Entry, place: Place
) -> None:
    place.fetch(entry)
    (place.folder / SHARD).unlink()
    hub.requests.clear()
    place.fetch(entry)
    assert {r.path.rsplit("/", 1)[-1] for r in hub.requests if r.path.startswith("/cdn/")} == {SHARD}
    assert all("main" not in r.path for r in hub.requests)


def test_a_connection_cut_in_the_middle_goes_on_where_it_was(hub: Hub, entry: Entry, place: Place) -> None:
    hub.cut[SHARD] = [1000, 500]
    place.fetch(entry)
    assert hub.ranges(SHARD) == [None, "bytes=1000-", "bytes=1500-"]


def test_a_killed_download_goes_on_where_it_was(
    hub: Hub, entry: Entry, place: Place, checkpoint: Path, tmp_path: Path
) -> None:
    hub.hang[SHARD] = [60.0]
    code = f"""
from pathlib import Path
from huggingface_hub import constants
from vitpeel import downloads, hub, manifest
constants.DOWNLOAD_CHUNK_SIZE = {CHUNK}
entry = manifest.Entry.model_validate_json({entry.model_dump_json()!r})
downloads.fetch(entry, Path({str(place.folder)!r}), Path({str(place.lock)!r}), hub.Patience(), weights=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    part, half = place.folder / ".partial" / SHARD, (checkpoint / SHARD).stat().st_size // 2
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and not (part.is_file() and part.stat().st_size):
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    there = part.stat().st_size
    assert 0 < there <= half
    place.fetch(entry)
    assert hub.ranges(SHARD) == [None, f"bytes={there}-"]
    assert (place.folder / SHARD).read_bytes() == (checkpoint / SHARD).read_bytes()


def test_a_busy_hub_is_asked_again_after_growing_waits(hub: Hub, entry: Entry, place: Place) -> None:
    hub.statuses = {"api": [503, 502], SHARD: [503, 500, 504]}
    place.fetch(entry)
    assert place.waits == [1.0, 2.0, 1.0, 2.0, 3.0]


def test_a_hub_that_stays_busy_is_given_up(hub: Hub, entry: Entry, place: Place) -> None:
    hub.statuses = {SHARD: [503] * 9}
    assert place.refusal(entry) == (
        f"{REPOSITORY}: {SHARD}: status 503 after 4 attempts. "
        "What has arrived is kept: run `snakemake` again."
    )


def test_no_hub_at_all(entry: Entry, place: Place, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 did not answer" in place.refusal(entry)
    assert len(place.waits) == 3


@pytest.mark.parametrize("name", [SHARD, "config.json"])
def test_a_wrong_checksum_is_refused_and_not_kept(hub: Hub, entry: Entry, place: Place, name: str) -> None:
    data = hub.repositories[f"models/{REPOSITORY}"][name]
    hub.altered[name] = data[:-1] + bytes([data[-1] ^ 1])
    assert f"{name} arrived with another checksum than it must have" in place.refusal(entry, InputError)
    assert name not in place.files()
    hub.altered.clear()
    place.fetch(entry)


def test_what_the_manifest_says_of_a_file_counts(hub: Hub, entry: Entry, place: Place) -> None:
    wrong = entry.model_copy(update={"files": {**entry.files, SHARD: File(size=None, sha256="0" * 64)}})
    assert f"but {'0' * 64} by manifest.yaml" in place.refusal(wrong, InputError)
    assert not any(request.path.startswith("/cdn/") for request in hub.requests)


def test_what_the_first_download_recorded_counts(hub: Hub, entry: Entry, place: Place) -> None:
    place.fetch(entry)
    (place.folder / SHARD).unlink()
    hub.repositories[f"models/{REPOSITORY}"][SHARD] += b"changed"
    assert "by the first download. It was changed there" in place.refusal(entry, InputError)


def test_without_a_token_the_refusal_names_page_and_variable(hub: Hub, entry: Entry, place: Place) -> None:
    hub.gated.add(f"models/{REPOSITORY}")
    gated = entry.model_copy(update={"gated": "https://hub/page"})
    assert place.refusal(gated) == (
        f"{REPOSITORY}: needs a token (status 401). First accept the conditions on https://hub/page, then "
        "set HF_TOKEN to a token of that account (https://huggingface.co/settings/tokens) and run "
        "`snakemake` again."
    )


@pytest.mark.parametrize(("token", "status"), [("hf_wrong", 401), (hub_server.TOKEN, 403)])
def test_a_refused_token_is_not_shown(
    hub: Hub, entry: Entry, place: Place, monkeypatch: pytest.MonkeyPatch, token: str, status: int
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.refused.add(f"models/{REPOSITORY}")
    line = place.refusal(entry.model_copy(update={"gated": "https://hub/page"}))
    assert line.startswith(
        f"{REPOSITORY}: refused with your token (status {status}). First accept the conditions on"
    )
    assert token not in line


def test_a_token_opens_a_gated_repository_and_is_not_logged(
    hub: Hub, entry: Entry, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.gated.add(f"models/{REPOSITORY}")
    hub.statuses, hub.cut = {SHARD: [503]}, {SHARD: [10]}
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    with caplog.at_level(logging.DEBUG):
        place.fetch(entry)
    assert {r.token for r in hub.requests if r.path.startswith("/api/")} == {hub_server.TOKEN}
    assert hub_server.TOKEN not in caplog.text


def test_a_repository_that_is_not_there(hub: Hub, entry: Entry, place: Place) -> None:
    line = place.refusal(entry.model_copy(update={"repository": "nobody/nothing"}), InputError)
    assert f"nobody/nothing: not found at {hub.url} at revision main (status 404)" in line


def test_a_revision_that_is_not_there(hub: Hub, entry: Entry, place: Place) -> None:
    assert "(status 404)" in place.refusal(entry.model_copy(update={"revision": "f" * 40}), InputError)


def test_a_shard_that_the_index_names_is_missing(hub: Hub, entry: Entry, place: Place) -> None:
    del hub.repositories[f"models/{REPOSITORY}"][SHARD]
    line = place.refusal(entry, InputError)
    assert line.startswith(
        f"{REPOSITORY}: model.safetensors.index.json names {SHARD}, which is not in the repo"
    )
    assert not any(path.endswith(".safetensors") for path in place.files())


def test_a_shard_that_is_listed_is_missing(hub: Hub, entry: Entry, place: Place) -> None:
    hub.absent.add(SHARD)
    assert f"{REPOSITORY}: {SHARD}: not found at" in place.refusal(entry, InputError)


def test_pickles_are_refused(hub: Hub, entry: Entry, place: Place) -> None:
    files = hub.repositories[f"models/{REPOSITORY}"]
    for name in [name for name in files if name.endswith(".safetensors")]:
        del files[name]
    line = place.refusal(entry, InputError)
    assert line.startswith(
        f"{REPOSITORY}: only pytorch_model.bin, which may run code when opened; only safetensors"
    )
    assert not place.files()


def test_no_pattern_of_the_manifest_takes_a_pickle() -> None:
    for _, name, entry in manifest.read():
        for path in (
            "pytorch_model.bin",
            "model.pt",
            "flax_model.msgpack",
            "tf_model.h5",
            "a/b.pkl",
            "x.ckpt",
        ):
            assert not any(fnmatch.fnmatchcase(path, pattern) for pattern in entry.files), (name, path)


def test_a_full_disk_is_noticed_before_the_first_byte(
    hub: Hub, entry: Entry, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: usage(10**6, 10**6 - 10, 10))
    line = place.refusal(entry)
    assert "GB are to be downloaded, but only 0.00 GB are free. Free some space, or set cache to" in line
    assert not any(request.path.startswith("/cdn/") for request in hub.requests)


def test_a_disk_that_fills_up_keeps_what_has_arrived(hub: Hub, entry: Entry, tmp_path: Path) -> None:
    """Another writer takes the space that was free before."""
    code = f"""
import shutil
from pathlib import Path
from huggingface_hub import constants
from vitpeel import downloads, hub, manifest
from vitpeel.errors import VitpeelError
usage = shutil.disk_usage
shutil.disk_usage = lambda path: usage(path)._replace(free=10**12)
constants.DOWNLOAD_CHUNK_SIZE = {CHUNK}
manifest.read().checkpoints["x"] = manifest.Entry.model_validate_json({entry.model_dump_json()!r})
for size in ("200k", "100m"):
    remount(f"size={{size}}")
    try:
        downloads.download("x", Path("cache"), Path("cache/checkpoints/x.json"), hub.Patience(attempts=1))
        print("done")
    except VitpeelError as refused:
        print(refused)
"""
    folder = tmp_path / "small"
    folder.mkdir()
    first, second = small_disk.run(code, folder, "size=100m").splitlines()
    assert "the disk is full. What has arrived is kept: free some space for" in first
    assert second == "done"
    assert any(request.range for request in hub.requests)


def test_a_read_only_cache(hub: Hub, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o555)
    with (
        small_disk.without_privileges(),
        pytest.raises(VitpeelError, match=r"the cache is not writable .* set cache"),
    ):
        downloads.download("roberta-large", cache, cache / "checkpoints/roberta-large.json")


def test_another_model_than_the_manifest_says_is_refused(hub: Hub, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    with pytest.raises(InputError, match="num_hidden_layers is 3, the manifest says 39: another model"):
        downloads.download("instructblip-flan-t5-xl", tmp_path, receipt)
    assert not receipt.exists()


def test_a_newer_revision_replaces_the_files_of_the_older(hub: Hub, entry: Entry, place: Place) -> None:
    first = entry.model_copy(update={"revision": hub_server.COMMIT})
    place.fetch(first)
    hub.commit = "f" * 40
    files = hub.repositories[f"models/{REPOSITORY}"]
    files["config.json"] = json.dumps({**json.loads(files["config.json"]), "x": 1}).encode()
    del files["generation_config.json"]
    made = place.fetch(entry.model_copy(update={"revision": hub.commit}))
    assert made.revision == hub.commit
    assert (place.folder / "config.json").read_bytes() == files["config.json"]
    assert "generation_config.json" not in place.files()


def test_texts_come_from_their_address_without_the_token(
    hub: Hub, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    data = b"a photo of a dog\n"
    hub.repositories["models/some/lists"] = {"list.txt": data}
    entry = Entry(
        title="lists",
        url=f"{hub.url}/cdn/models/some/lists/",
        revision="e" * 40,
        licence="none",
        size=None,
        gated=None,
        files={"list.txt": File(size=len(data), sha256=hashlib.sha256(data).hexdigest())},
    )
    place.fetch(entry, weights=False)
    assert (place.folder / "list.txt").read_bytes() == data
    assert [request.token for request in hub.requests] == [None]
    hub.altered["list.txt"] = data[::-1]
    (place.folder / "list.txt").unlink()
    with pytest.raises(InputError, match="another checksum"):
        place.fetch(entry, weights=False)


def test_two_at_a_time_fetch_once(hub: Hub, entry: Entry, place: Place) -> None:
    threads = [threading.Thread(target=place.fetch, args=(entry,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hub.ranges(SHARD) == [None]


def test_a_damaged_record_is_refused(hub: Hub, entry: Entry, place: Place) -> None:
    place.fetch(entry)
    place.lock.write_text("{")
    assert f"Delete it (`rm {place.lock}`)" in place.refusal(entry, InputError)
