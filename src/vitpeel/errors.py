"""Refusals meant for the user: one line that says what is wrong, where, and what to do about it.

Scripts print the message of a `VitpeelError` without a traceback; any other is a defect and keeps its own.
"""


class VitpeelError(Exception):
    """A refusal whose message is one line for the user: what, where, what to type instead."""

    def __init__(self, message: str) -> None:
        """message: any line breaks (a library's own wording, a file name) are folded into spaces."""
        super().__init__(" ".join(line.strip() for line in message.splitlines()))


class ConfigError(VitpeelError):
    """A configuration that cannot be run: unknown key, wrong type, value out of range, missing file."""

    def __init__(self, *faults: str) -> None:
        """faults: one line each; all of them are the message."""
        super().__init__("")
        self.args = ("\n".join(" ".join(fault.split()) for fault in faults),)


class InputError(VitpeelError):
    """Something the user brought cannot be read: a picture, a captions file, a checkpoint."""


class ProvenanceError(VitpeelError):
    """A stored result comes from another checkpoint, precision, preprocessing or configuration."""
