"""What rules of several sections ask for by wildcard or setting."""

from vitpeel.judge.mentions import any_object


def of_kind(kind: str) -> str:
    """A pattern of the datasets of a kind."""
    return (
        "|".join(re.escape(name) for name, chosen in settings.datasets.items() if chosen.kind == kind)
        or "(?!)"
    )


def averaged_places(wildcards) -> list[str]:
    """Where means are taken; confusion needs those of the main set's stream."""
    own = {"input"} if wildcards.dataset == settings.main else set()
    return sorted({settings.lower.place} | own)


def averaged_pictures(wildcards) -> str:
    """The table of the pictures that are averaged."""
    return f"results/{wildcards.run}/datasets/{wildcards.dataset}/{AVERAGED[wildcards.dataset]}.parquet"


def cached_residuals(wildcards) -> str | list[str]:
    """What the layers of these pictures hold, if it is on disk anyway."""
    if not settings.compute.cache_residuals or wildcards.dataset != settings.main:
        return []
    return f"results/{wildcards.run}/activations/{wildcards.dataset}/residuals-{wildcards.shard}.safetensors"


def sums_of(*datasets: str) -> list[str]:
    """Files of the sums over sets of pictures."""
    return expand("results/{{run}}/means/{dataset}/sums-{shard}.safetensors", dataset=datasets, shard=SHARDS)


def in_demo_words(captions: Path) -> bool:
    """Whether the offline rubric understands one of the references."""
    if not captions.is_file():  # of a set that is still to be downloaded: written about other pictures
        return False
    rows = captions.read_text(encoding="utf-8", errors="replace").splitlines()
    return any_object(row.partition(",")[2] for row in rows)


def not_for_the_rubric() -> str | None:
    """Why the offline rubric can not judge the main set, if so."""
    captions = settings.captions_file(settings.main)
    if captions is not None and in_demo_words(captions):
        return None
    found = "is null" if captions is None else f", {captions}, names no object of the demo"
    return (
        f"The offline rubric needs references in the demo's words, and datasets.{settings.main}.captions "
        f"{found}. Set judge.kind to openai for pictures of your own."
    )


def clip_files(wildcards) -> list[str]:
    """Files of a CLIP model's checkpoint, or the receipt of its download."""
    return settings.files_of(settings.clip.models[wildcards.clip])


def clip_model(wildcards) -> dict[str, str]:
    """Which CLIP model a job loads, and how."""
    loaded = settings.clip.model_dump(mode="json", include={"dtype", "device"})
    return {
        "name": wildcards.clip,
        "checkpoint": settings.clip.models[wildcards.clip].as_posix(),
        **loaded,
    }


def clip_source(wildcards) -> dict:
    """The line at the foot of a figure of one CLIP model."""
    return source_of(settings.clip.models[wildcards.clip])


def clip_sources(wildcards) -> dict:
    """The line at the foot of a figure of all CLIP models."""
    return source_of(*settings.clip.models.values())


def asked_of_clip() -> dict[str, None]:
    """The pictures that the five analyses ask about, each once."""
    asked = settings.clip.analyses
    single = [query.picture for query in (*asked.properties, *asked.contrasts, *asked.pictures)]
    return dict.fromkeys(single + [picture for query in asked.topics for picture in query.pictures])


def clip_descriptions(wildcards) -> str:
    """The file of the texts that TextSpan chooses from; where it is downloaded, jobs depend on the receipt."""
    return settings.clip.descriptions.as_posix()
