"""Faults in the settings of the judge and of its figures are refused in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from vitpeel.config import checks
from vitpeel.config.experiments import JudgeSettings
from vitpeel.config.figures import Fig5Settings, JudgedPageSettings

OPENAI = {
    "model": "m-2025-01-01",
    "reasoning": "none",
    "calls": "image",
    "detail": "high",
    "usd_per_million_input": 2.5,
    "usd_per_million_output": 10.0,
    "cap": 1.0,
    "concurrency": 1,
    "timeout": 1.0,
    "retries": 0,
    "attempts": 1,
    "batch": False,
    "poll": 1.0,
    "base_url": None,
    "replies": "judge/replies.jsonl",
}


def fault(model: Any, mapping: dict[str, Any], root: Path, judged: list[int] | None = None) -> str:
    context = checks.Context(root, {"judge": {"layers": judged or [0, 9]}, "model": {"depth": 10}})
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(mapping, context=context, strict=False)
    (error,) = caught.value.errors()
    return error["msg"]


def judge(**openai: object) -> dict[str, Any]:
    return {"kind": "openai", "layers": [0, 9], "openai": {**OPENAI, **openai}}


def test_replies_are_not_kept_where_results_are_deleted(tmp_path: Path) -> None:
    for inside in ("results/replies.jsonl", "judge/../results/demo/r.jsonl", tmp_path / "results/r"):
        assert "would be deleted with the results" in fault(
            JudgeSettings, judge(replies=str(inside)), tmp_path
        )
    context = checks.Context(tmp_path, {})
    for outside in ("judge/replies.jsonl", "/data/replies.jsonl", "my-results/r.jsonl"):
        JudgeSettings.model_validate(judge(replies=outside), context=context, strict=False)


def test_reasoning_is_none_or_null(tmp_path: Path) -> None:
    context = checks.Context(tmp_path, {})
    for allowed in ("none", None):
        found = JudgeSettings.model_validate(judge(reasoning=allowed), context=context, strict=False)
        assert found.openai.reasoning == allowed
    assert "none" in fault(JudgeSettings, judge(reasoning="high"), tmp_path)


def test_a_single_layer_shows_no_change(tmp_path: Path) -> None:
    line = "[5, 5]: a single layer shows no change. Give two at least."
    assert line in fault(JudgeSettings, {**judge(), "layers": [5, 5]}, tmp_path)
    assert line in fault(Fig5Settings, {"layers": [5, 5]}, tmp_path)


def test_figures_show_judged_layers_only(tmp_path: Path) -> None:
    line = "layer 9 is outside judge.layers, [2, 8]. Widen that, or choose another layer."
    assert line in fault(Fig5Settings, {"layers": [3, 9]}, tmp_path, [2, 8])
    page = {"images": ["a"], "layers": [2, 9]}
    assert line in fault(JudgedPageSettings, page, tmp_path, [2, 8])
    context = checks.Context(tmp_path, {"judge": {"layers": [2, "x"]}})  # a fault of its own
    Fig5Settings.model_validate({"layers": [3, 9]}, context=context, strict=False)
