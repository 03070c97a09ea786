"""Nothing partial under the real name: full disk, read-only folder, size limit, a kill."""

import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import small_disk

from vitpeel.atomic import atomic
from vitpeel.errors import VitpeelError


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_appears_whole_in_a_new_folder_with_ordinary_permissions(tmp_path: Path) -> None:
    target = tmp_path / "new" / "figure.pdf"
    with atomic(target) as partial:
        assert partial.suffix == ".pdf"
        partial.write_text("half")
        assert not target.exists()
        partial.write_text("whole")
    (tmp_path / "plain").touch()
    assert target.read_text() == "whole"
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("earlier")
    with pytest.raises(ZeroDivisionError), atomic(target) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_another_files_error_is_not_blamed_on_this_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "out.csv"):
        (tmp_path / "input.csv").read_text()
    assert not list(tmp_path.iterdir())


def test_read_only_folder() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name, "results")
        folder.mkdir()
        folder.parent.chmod(0o755)
        folder.chmod(0o555)
        target = folder / "scores.parquet"
        with pytest.raises(VitpeelError) as caught, small_disk.without_privileges(), atomic(target):
            pytest.fail("the folder was writable")
        assert not list(folder.iterdir())
        folder.chmod(0o755)
    assert str(caught.value) == (
        f"{target}: the folder {folder} is not writable, nothing was written. "
        f"Make it writable (`chmod u+w {folder}`, or another disk) and run `snakemake` again."
    )


def test_read_only_file_system(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from vitpeel.atomic import atomic
from vitpeel.errors import VitpeelError
with atomic(Path("kept.csv")) as partial:
    partial.write_text("kept")
remount("ro")
try:
    with atomic(Path("results/more.csv")) as partial:
        partial.write_text("more")
except VitpeelError as error:
    print(error)
print(Path("kept.csv").read_text(), sorted(p.name for p in Path().iterdir()))
"""
    message, kept = small_disk.run(code, tmp_path, "size=1m").splitlines()
    assert message.startswith(
        "results/more.csv: the folder results is on a read-only file system, nothing was"
    )
    assert kept == "kept ['kept.csv']"


def test_full_disk(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from vitpeel.atomic import atomic
from vitpeel.errors import VitpeelError
target = Path("results/map.bin")
with atomic(Path("results/kept.csv")) as partial:
    partial.write_text("kept")
filler = Path("filler")
filler.write_bytes(bytes(200_000))
def write():
    with atomic(target) as partial, partial.open("wb") as handle:
        for _ in range(10):
            handle.write(bytes(10_000))
            handle.flush()
try:
    write()
except VitpeelError as error:
    print(error)
print(Path("results/kept.csv").read_text(), sorted(p.name for p in Path("results").iterdir()))
filler.unlink()
write()
print(target.stat().st_size)
"""
    message, kept, after = small_disk.run(code, tmp_path, "size=256k").splitlines()
    assert message == (
        "results/map.bin: the disk is full, nothing was written. "
        "Free some space for results and run `snakemake` again; what was finished is kept."
    )
    assert kept == "kept ['kept.csv']"
    assert after == "100000"


def test_file_size_limit(tmp_path: Path) -> None:
    target = tmp_path / "map.bin"
    complaint = r"map\.bin: larger than the largest file allowed here.*ulimit -f"
    with pytest.raises(VitpeelError, match=complaint), largest_file(10_000), atomic(target) as partial:
        partial.write_bytes(bytes(20_000))
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    complaint = r"results/a\.csv: cannot be written \(.*\)\. Clear the way"
    with pytest.raises(VitpeelError, match=complaint), atomic(tmp_path / "results" / "a.csv"):
        pytest.fail("a file is no folder")


def test_what_a_killed_writer_left_goes_and_a_live_writers_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "residuals.safetensors"
    code = (
        "import sys, time; from pathlib import Path; from vitpeel.atomic import atomic\n"
        "with atomic(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); print('written', flush=True); time.sleep(60)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "written\n"
    (leftover,) = tmp_path.iterdir()
    with atomic(target) as partial:
        partial.write_text("second")
    assert leftover.read_text() == "half"
    target.unlink()
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert list(tmp_path.iterdir()) == [leftover]
    with atomic(target) as partial:
        partial.write_text("third")
    assert list(tmp_path.iterdir()) == [target]
