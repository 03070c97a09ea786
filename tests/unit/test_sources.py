"""What a rule depends on: modules by their imports, pictures by a fingerprint."""

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from vitpeel.sources import PACKAGE, fingerprint, imports, modules

ROOT = Path(__file__).parents[2]
# Messages and settings: what of them matters reaches a job through its params.
WITHOUT_RESULT = {
    "errors.py",
    "logs.py",
    "downloads.py",
    "config/__init__.py",
    *(
        f"config/{name}.py"
        for name in (
            *("checks", "clip", "clip_checks", "experiments", "faults", "figures", "keys", "model"),
            *("origins", "section"),
        )
    ),
}


def names(files: list[str]) -> set[str]:
    return {str((ROOT / file).relative_to(PACKAGE)) for file in files}


def rules() -> dict[str, tuple[str, str]]:
    """name -> (arguments of modules(...), script) of every rule that has a script."""
    found = {}
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", file.read_text(), flags=re.M)[1:]:
            called = re.search(r"modules\((.*?)\),\n    [a-z]", block, re.S)
            script = re.search(r'"\.\./scripts/(\w+)\.py"', block)
            assert called and script, f"{file.name}: {block.split(':')[0]} lists no modules or has no script"
            found[block.split(":")[0]] = (called[1], script[1])
    return found


def test_imports_are_followed() -> None:
    assert {"captioner.py", "decoding.py", "t5.py"} <= names(modules("captioner"))
    assert "trunk.py" not in names(modules("captioner"))


def test_imports_inside_functions_count_and_type_checking_does_not() -> None:
    assert "models/instructblip.py" in names(modules("models"))
    assert not WITHOUT_RESULT & names(modules("captioner"))


def test_an_unknown_module_is_refused() -> None:
    with pytest.raises(ValueError, match="plots/fig99: no such module"):
        modules("plots/fig99")


def test_every_script_uses_only_modules_that_its_rule_lists() -> None:
    for rule, (called, script) in rules().items():
        listed = names(eval(f"modules({called})", {"modules": modules}))
        used = {module.replace(".", "/") for module in imports(ROOT / f"scripts/{script}.py")}
        files = {
            f"{name}.py" if (PACKAGE / f"{name}.py").is_file() else f"{name}/__init__.py" for name in used
        }
        assert files - WITHOUT_RESULT <= listed, f"rule {rule}"
        assert rule == script


def test_a_plot_is_no_part_of_what_the_model_does_and_the_trunk_is() -> None:
    listed = {
        rule: names(eval(f"modules({called})", {"modules": modules})) for rule, (called, _) in rules().items()
    }
    model = [rule for rule, files in listed.items() if "trunk.py" in files]
    assert {"capture", "caption_layers"} <= set(model)
    assert not any(
        file.startswith("plots/") for rule in model if rule != "train_demo" for file in listed[rule]
    )
    assert "decoding.py" in listed["caption_layers"]
    assert "decoding.py" not in listed["capture"]


def test_size_limits_of_the_house() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) <= 60
    for folder, most in (("rules", 150), ("scripts", 30)):
        for file in (ROOT / folder).iterdir():
            if file.is_file():
                assert len(file.read_text().splitlines()) <= most, file


def test_the_conda_environment_has_the_project_s_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    environment = yaml.safe_load((ROOT / "envs/vitpeel.yaml").read_text())
    assert environment["dependencies"][-1]["pip"] == project


def test_a_fingerprint_changes_with_pictures_and_not_with_captions(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1234")
    before = fingerprint(tmp_path)
    (tmp_path / "captions.csv").write_text("image_id,caption\n")
    assert fingerprint(tmp_path) == before
    (tmp_path / "a.png").write_bytes(b"5678")  # as long, later
    os.utime(tmp_path / "a.png", (1, 1))
    replaced = fingerprint(tmp_path)
    assert replaced != before
    (tmp_path / "b.png").touch()
    assert fingerprint(tmp_path) != replaced
