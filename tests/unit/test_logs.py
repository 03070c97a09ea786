"""A job's log: lines, progress, foreign output and tracebacks in the file; refusals also on the terminal."""

import subprocess
import sys
from pathlib import Path

HEAD = """
import logging, os, subprocess, sys, warnings
from vitpeel.errors import InputError
from vitpeel.logs import job, progress
log = logging.getLogger("vitpeel.test")
with job(sys.argv[1], 2):
"""


def run(tmp_path: Path, *body: str) -> tuple[subprocess.CompletedProcess[str], str]:
    script, log = tmp_path / "script.py", tmp_path / "logs/job.log"
    script.write_text(HEAD + "".join(f"    {line}\n" for line in body))
    done = subprocess.run([sys.executable, script, log], capture_output=True, text=True, timeout=60)
    return done, log.read_text()


def test_everything_goes_to_the_log(tmp_path: Path) -> None:
    done, log = run(
        tmp_path,
        'log.info("a line")',
        'print("printed")',
        'warnings.warn("careful", stacklevel=1)',
        'subprocess.run(["sh", "-c", "echo a child >&2"], check=True)',
        'logging.getLogger("other.package").info("chatter")',
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert all(text in log for text in ("INFO a line", "printed", "careful", "a child", "done in "))
    assert "chatter" not in log


def test_a_refusal_is_one_line_in_both_places(tmp_path: Path) -> None:
    done, log = run(tmp_path, 'raise InputError("7.jpg: truncated. Replace it.")')
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "7.jpg: truncated. Replace it.\n")
    assert "ERROR 7.jpg: truncated. Replace it.\n" in log
    assert "Traceback" not in log


def test_a_defect_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    done, log = run(tmp_path, "import torch_of_another_name")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "ModuleNotFoundError: No module named 'torch_of_another_name' (traceback in "
    )
    assert done.stderr.count("\n") == 1
    assert "Traceback (most recent call last)" in log
    assert "line 7, in <module>" in log


def test_a_crash_of_the_interpreter_leaves_its_trace(tmp_path: Path) -> None:
    done, log = run(tmp_path, "import ctypes", "ctypes.string_at(0)")
    assert done.returncode != 0
    assert "Segmentation fault" in log


def test_threads_are_set_before_libraries_read_them(tmp_path: Path) -> None:
    done, log = run(tmp_path, "import torch", "print('threads', torch.get_num_threads())")
    assert done.returncode == 0
    assert "threads 2" in log


def test_progress_hands_everything_on_and_says_how_far_it_is(tmp_path: Path) -> None:
    _, log = run(tmp_path, 'print(sum(progress(range(4), 4, "captions", every=0)))')
    assert "captions: 2 of 4, about 0 s left" in log
    assert "captions: 4 in 0.0 s" in log
    assert "\n6\n" in log
