"""One thread a test process; a test that lacks a system package says so, or fails where that is asked."""

import os
import shutil
from collections.abc import Generator

import pytest

# Before torch is imported. With more threads a matrix kernel's last bits hang on the batch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Daemons lie where not every user's PATH looks.
PROGRAMS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
NO_SKIP = "VITPEEL_NO_SKIP"  # set in CI, where the packages are installed


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program, path=PROGRAMS) is None]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}, which a system package gives")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(NO_SKIP) == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}, and {NO_SKIP}=1 lets nothing be skipped"
    return report
