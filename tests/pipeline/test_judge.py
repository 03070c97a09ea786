"""The openai judge in the pipeline, at a local server: live, from stored replies alone, and when it fails."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from project import PICTURES, ROOT, Project

from vitpeel.tables import SCORES, read_table

sys.path.insert(0, str(ROOT / "tests/unit"))

from api_server import KEY, Api, Response, answer, completion, error

VARIABLE = "OPENAI_API_KEY"
JUDGED = {"judge_captions", "fig5_table", "draw_fig5", "appendix_c_table", "draw_appendix_c"}
FIGURES = ("fig4", "fig5", "appendix_c")
RESULTS = "results/test"


@dataclass(frozen=True)
class Asked:
    """A finished project whose judge is asked at the local server."""

    project: Project
    api: Api

    def fresh(self, path: str) -> bytes:
        return (self.project / RESULTS / path).read_bytes()


@pytest.fixture
def asked(again: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    api = Api()
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv(VARIABLE, KEY)
    again.set(judge__kind="openai", judge__openai__base_url=api.url)
    yield Asked(again, api)
    api.close()


def holding(folder: Path, secret: str) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if secret.encode() in path.read_bytes()]


def test_figures_live_and_then_from_the_replies_alone(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    project = asked.project
    assert project.run(*FIGURES) == {*JUDGED, "draw_fig4"}
    assert len(asked.api.bodies) == len(PICTURES)
    scores = read_table(project / RESULTS / "scores/mine/judge.parquet", SCORES)
    means = scores[scores["metric"] == "judge_mean"].groupby("layer")["value"].agg(["min", "max"])
    assert means.to_numpy().tolist() == [[1.5, 1.5], [3, 3], [5, 5]]  # as the server answers
    curves = pd.read_csv(project / RESULTS / "tables/fig5.csv")
    assert set(curves["judge"]) == {"gpt-5.4-2026-03-05"} and set(curves["pictures"]) == {len(PICTURES)}
    sent = asked.api.bodies[0]["messages"][0]["content"][0]["text"]
    assert sent.startswith(asked.fresh("tables/fig4.txt").decode().split("Layer 0")[0])

    tables = [f"tables/{name}.csv" for name in ("fig5", "fig5-trends", "appendix_c")]
    made = ["scores/mine/judge.parquet", *tables, *(f"figures/{name}.png" for name in FIGURES)]
    before = {path: asked.fresh(path) for path in made}
    for folder in ("scores", "tables", "figures"):
        shutil.rmtree(project / RESULTS / folder)
    asked.api.close()
    monkeypatch.delenv(VARIABLE)
    assert project.run(*FIGURES) == {*JUDGED, "fig4_prompt", "draw_fig4"}
    assert {path: asked.fresh(path) for path in made} == before

    assert project.snakemake("--report", "report.html", "fig5").returncode == 0
    assert (project / "report.html").is_file() and holding(project.root, KEY) == []


def test_only_what_changes_an_answer_reruns_the_judge(asked: Asked) -> None:
    project = asked.project
    project.run(*FIGURES)
    asked.api.close()
    terms = {"cap": 7.5, "concurrency": 2, "timeout": 9.0, "retries": 1, "batch": True}
    project.set(**{f"judge__openai__{name}": value for name, value in terms.items()})
    project.set(judge__openai__usd_per_million_input=1.0, judge__openai__base_url=None)
    assert project.run("-n", *FIGURES) == set()
    (project / "judge/replies.jsonl").touch()
    assert project.run("-n", *FIGURES) == set()
    project.set(judge__openai__attempts=3)  # may win a picture that was left out
    assert project.run("-n", *FIGURES) == JUDGED
    for name, value in (("model", "m-2027-01-01"), ("detail", "low"), ("reasoning", None)):
        project.set(**{f"judge__openai__{name}": value})
        assert project.run("-n", *FIGURES) == {*JUDGED, "draw_fig4"}, name
    project.set(judge__openai__calls="layer")
    assert project.run("-n", *FIGURES) == {*JUDGED, "fig4_prompt", "draw_fig4"}


def test_what_was_paid_for_outlives_a_failed_job(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    project = asked.project
    project.set(judge__openai__concurrency=1)
    declined = Response(body=completion(None, refusal="I do not judge this picture"))
    asked.api.plan += [
        declined,
        lambda body: Response(body=completion(answer(body))),
        error(401, f"wrong key {KEY}"),
    ]
    failed = project.snakemake("fig5")
    assert failed.returncode != 0
    assert f"{VARIABLE} is refused by 127.0.0.1 (401). Set it to a valid key." in failed.stderr
    assert len((project / "judge/replies.jsonl").read_text().splitlines()) == 2

    monkeypatch.delenv(VARIABLE)
    failed = project.snakemake("fig5")
    assert failed.returncode != 0 and f"{VARIABLE} is not set, and 5 questions" in failed.stderr

    monkeypatch.setenv(VARIABLE, KEY)
    asked.api.bodies.clear()
    assert project.run("fig5") == {"judge_captions", "fig5_table", "draw_fig5"}
    assert len(asked.api.bodies) == len(PICTURES) - 2
    curves = pd.read_csv(project / RESULTS / "tables/fig5.csv")
    assert set(curves["pictures"]) == {6} and set(curves["captioned"]) == {7}
    log = (project / RESULTS / "logs/judge_captions/mine.log").read_text()
    assert "refused (I do not judge this picture); left out" in log
    assert holding(project.root, KEY) == []


@pytest.mark.parametrize("captions", [None, "image_id,caption\na,a man in a suit\n"])
def test_the_rubric_is_left_out_where_it_understands_no_reference(
    captions: str | None, again: Project
) -> None:
    if captions is None:
        again.set(datasets__mine__captions=None, figures__fig3__metric="bertscore")
    else:
        (again / "pictures/captions.csv").write_text(captions)
    done = again.snakemake("-n", "fig5")
    assert done.returncode != 0
    assert "The offline rubric needs references in the demo's words" in done.stdout + done.stderr
    done = again.snakemake("-n")
    assert done.returncode == 0 and "judge_captions" not in done.stdout
    assert "left out: fig5, appendix_c. The offline rubric needs" in done.stdout + done.stderr
