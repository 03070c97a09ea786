"""Any directory of pictures, with or without a captions file: the dataset kind for one's own pictures."""

import csv
import difflib
import io
import logging
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from vitpeel.datasets.pictures import Entry, Picture, PictureIndex, Skipped, decode
from vitpeel.errors import InputError

logger = logging.getLogger(__name__)

# HEIC is here although Pillow does not read it: a phone's pictures are then named as skipped.
SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pnm",
    }
    | {".avif", ".heic", ".heif"}
)
COLUMNS = ("image_id", "caption")


def index(folder: Path, captions: Path | None = None, limit: int | None = None) -> PictureIndex:
    """List the pictures directly in `folder`, in the order of their names; every one is opened as a check.

    captions: a CSV file with the columns image_id and caption, one row a reference; an image_id is a file
    name with or without its suffix. limit: stop after this many usable pictures. A picture that cannot be
    used is skipped and named, in the log too; no usable one or a faulty captions file is an `InputError`.
    """
    folder = Path(folder)
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    files, notes = _candidates(folder, captions)
    ids = _image_ids(files)
    references = read_captions(Path(captions), ids) if captions is not None else {}
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    for path in files:
        if limit is not None and len(entries) == limit:
            notes.append(f"{folder}: the first {limit} usable of {len(files)} pictures, as the limit asks")
            break
        try:
            decoded = decode(path)
        except InputError as error:
            skipped.append(Skipped(path, str(error)))
            continue
        picture = Picture(ids[path], path, references.get(ids[path], ()))
        entries.append(Entry(picture, *decoded.image.size, decoded.mode, decoded.note))
    if not entries:
        first = skipped[0].reason
        raise InputError(f"{folder}: none of its {len(skipped)} pictures can be used. The first: {first}")
    if captions is not None and (bare := [e.picture.image_id for e in entries if not e.picture.references]):
        notes.append(f"{captions}: no caption for {_some(bare)}; peeled, but not scored against references")
    for skip in skipped:
        logger.warning("%s Skipped, the other %d go on.", skip.reason, len(entries))
    for entry in entries:
        if entry.note:
            logger.info("%s: %s", entry.picture.path, entry.note)
    for note in notes:
        logger.info("%s", note)
    return PictureIndex(tuple(entries), tuple(skipped), tuple(notes))


def references(folder: Path, captions: Path) -> dict[str, tuple[str, ...]]:
    """References by image id for the pictures in `folder`; no picture is opened. Errors as `index`."""
    files, _ = _candidates(Path(folder), captions)
    return read_captions(Path(captions), _image_ids(files))


def read_captions(path: Path, ids: Mapping[Path, str]) -> dict[str, tuple[str, ...]]:
    """References by image id, in the file's order. ids: image id of every picture file, usable or not."""
    known = _names(ids)
    references: dict[str, list[str]] = defaultdict(list)
    seen: dict[tuple[str, str], int] = {}
    unknown: dict[str, int] = {}
    for line, name, caption in _rows(path):
        image_id = known.get(_composed(name))
        if image_id is None:
            unknown.setdefault(name, line)
            continue
        if (first := seen.setdefault((image_id, caption), line)) != line:
            raise InputError(
                f"{path}: line {line} repeats line {first} ({name!r}, {caption!r}). Delete one of them."
            )
        references[image_id].append(caption)
    if unknown:
        name, line = next(iter(unknown.items()))
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        rest = f", nor for {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise InputError(
            f"{path}: line {line}: no picture for image_id {name!r}{rest}.{hint} "
            "Add the picture or delete the row."
        )
    if not references:
        raise InputError(f"{path}: no rows. Add one row a reference, or set captions to null.")
    return {image_id: tuple(sentences) for image_id, sentences in references.items()}


def _candidates(folder: Path, captions: Path | None) -> tuple[list[Path], list[str]]:
    """Files that are pictures by their names, sorted; remarks on what else lies there."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}. Set the dataset's path to a folder of pictures.")
    files: list[Path] = []
    subfolders: list[str] = []
    others: list[str] = []
    try:
        found = sorted(folder.iterdir())
    except PermissionError as error:
        remedy = f"Allow it (`chmod u+rx {folder}`) and run `snakemake` again."
        raise InputError(f"{folder}: may not be listed. {remedy}") from error
    for path in found:
        if path.name.startswith(".") or (
            captions is not None and path.absolute() == Path(captions).absolute()
        ):
            continue
        if path.is_dir():
            subfolders.append(path.name)
        elif path.suffix.lower() in SUFFIXES:
            files.append(path)
        else:
            others.append(path.name)
    if not files:
        inside = f" Its subfolders ({_some(subfolders)}) are not searched." if subfolders else ""
        raise InputError(
            f"{folder}: no pictures in this folder.{inside} Add some (JPEG, PNG, ...) or set another path."
        )
    notes = []
    if subfolders:
        notes.append(f"{folder}: subfolders are not searched: {_some(subfolders)}")
    if others:
        notes.append(f"{folder}: no pictures by their names, left out: {_some(others)}")
    return files, notes


def _image_ids(files: list[Path]) -> dict[Path, str]:
    """The file's stem, or its whole name where two files share a stem."""
    stems = Counter(path.stem for path in files)
    names = {path.name: path for path in files}
    for path in files:
        if path.stem in names:
            raise InputError(
                f"{path}: without its suffix this is the name of {names[path.stem]}. Rename one of them."
            )
    return {path: path.stem if stems[path.stem] == 1 else path.name for path in files}


def _names(ids: Mapping[Path, str]) -> dict[str, str]:
    """Everything a captions file may call a picture -> its image id."""
    return {_composed(name): image_id for path, image_id in ids.items() for name in (path.name, image_id)}


def _composed(name: str) -> str:
    """The name with accents composed, as keyboards type them; macOS stores them apart."""
    return unicodedata.normalize("NFC", name)


def _rows(path: Path) -> list[tuple[int, str, str]]:
    """(line, image_id, caption) of a captions file, white space reduced to single blanks."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    rows: list[tuple[int, str, str]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        at = [header.index(column) for column in COLUMNS]
        for row in reader:
            if not row:
                continue
            where = f"{path}: line {reader.line_num}"
            if len(row) != len(header):
                raise InputError(
                    f"{where} has {len(row)} fields, the header {len(header)}. "
                    'Put a caption that contains a comma into double quotes ("...").'
                )
            image_id, caption = (" ".join(row[position].split()) for position in at)
            if not image_id or not caption:
                empty = COLUMNS[1] if image_id else COLUMNS[0]
                raise InputError(f"{where}: {empty} is empty. Fill it or delete the row.")
            rows.append((reader.line_num, image_id, caption))
    except csv.Error as error:
        where = f"{path}: line {reader.line_num}"
        raise InputError(f"{where}: not valid CSV ({error}). Mend that line's quotes.") from error
    return rows


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such captions file. Set captions to a CSV file or to null.") from error
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {reason}. Set captions to a CSV file or to null.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line} is not UTF-8. Save the file as CSV UTF-8.") from error


def _check_header(path: Path, header: list[str]) -> None:
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        found = ", ".join(header) if any(header) else "nothing"
        other = next((mark for mark in (";", "\t") if len(header) == 1 and mark in header[0]), None)
        hint = f" Its columns are separated by {other!r}: save with commas." if other else ""
        raise InputError(
            f"{path}: no column {' and no column '.join(missing)}; the first line has {found}.{hint} "
            f"Make that line `{','.join(COLUMNS)}`."
        )
    twice = [column for column in COLUMNS if header.count(column) > 1]
    if twice:
        raise InputError(
            f"{path}: column {twice[0]} is there twice. Keep one; each further reference is a row."
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
