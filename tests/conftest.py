"""Tests that need a program from a system package say so when skipped, or fail where that is asked."""

import os
import shutil

import pytest

NO_SKIP = "VITPEEL_NO_SKIP"  # set in CI, where the packages are installed


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing:
            reason = f"needs {', '.join(missing)}, which a system package gives"
            if os.environ.get(NO_SKIP) == "1":
                pytest.fail(f"{reason}, and {NO_SKIP}=1 lets nothing be skipped")
            pytest.skip(reason)
