"""One named target a figure or table, from what the sections have listed."""


def wanted(target: str):
    """The files behind a target, or why this configuration can not have it."""

    def files(wildcards) -> list[str]:
        if target in LEFT_OUT:
            raise WorkflowError(f"{target}: {LEFT_OUT[target]}")
        return FIGURES[target]

    return files


for target in FIGURES:

    rule:
        name:
            target
        input:
            wanted(target),
        localrule: True


if workflow.is_main_process and LEFT_OUT:
    reasons = {}
    for target, reason in LEFT_OUT.items():
        reasons.setdefault(reason, []).append(target)
    for reason, targets in reasons.items():
        logger.warning(f"left out: {', '.join(targets)}. {reason}")
