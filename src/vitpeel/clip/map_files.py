"""Maps of the two segmentations on disk: a CSV that says what each shows, and a file with the numbers.

The file holds "maps" [K, rows, columns], float32, and "pictures" [K, height, width, 3], uint8, as the model
saw them, in the order of the CSV's rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vitpeel import tables
from vitpeel.errors import VitpeelError
from vitpeel.provenance import Provenance
from vitpeel.tensors import open_tensors, write_tensors

if TYPE_CHECKING:
    from vitpeel.clip.analyses import Maps


def write(table: Path, file: Path, found: Maps, origin: Provenance) -> None:
    """Write both.  origin: of the model that made the maps."""
    tables.write_csv(table, found.table)
    write_tensors(file, {"maps": found.maps, "pictures": found.pictures}, origin)


def read(file: Path, rows: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Maps and pictures.  rows: of the CSV.  Raises VitpeelError where the file holds more or fewer."""
    with open_tensors(file) as found:
        maps, pictures = found.rows("maps"), found.rows("pictures")
    if len(maps) != rows:
        raise VitpeelError(
            f"{file}: {len(maps)} maps, but its table has {rows} rows. Delete both and run `snakemake` again."
        )
    return maps, pictures
