"""Say what property the texts of each head of a CLIP share (CLIP-InterpreT, section 3)."""

import os
from pathlib import Path
from typing import Any

from vitpeel.logs import job


def main(
    texts: Path, labeller: dict[str, Any], params: dict[str, Any], openai: dict[str, Any], out: Path
) -> None:
    """labeller: kind, what is asked; params: descriptions, texts, models, overrides; openai: terms"""
    from vitpeel import caption_tables, tables
    from vitpeel.clip import descriptions, head_texts, labels

    heads = head_texts.heads(tables.read_table(texts, tables.HEAD_TEXTS), params["texts"])
    known = descriptions.read(Path(params["descriptions"]))
    human = labels.overrides(Path(params["overrides"]), params["models"]) if params["overrides"] else ()
    table, who = labels.table(heads, known, labeller, openai, os.environ.get("OPENAI_API_KEY"), human)
    tables.write_table(out, table, tables.HEAD_LABELS, caption_tables.derived(tables.origin_of(texts), **who))


with job(snakemake.log[0], snakemake.threads):
    params = {**dict(snakemake.params.items()), "overrides": snakemake.input.get("overrides")}
    openai, out = snakemake.config["clip"]["labels"]["openai"], Path(snakemake.output.labels)
    main(Path(snakemake.input.texts), params.pop("labeller"), params, openai, out)
