"""A folder of pictures becomes one table; broken ones are skipped, a faulty captions file is refused."""

import logging
import tempfile
from pathlib import Path

import pytest
import small_disk
from PIL import Image

from vitpeel import tables
from vitpeel.datasets.folder import index
from vitpeel.datasets.pictures import Picture, from_frame
from vitpeel.errors import InputError
from vitpeel.provenance import Provenance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 1.jpg, 2.png and 3.png."""
    path = tmp_path / "pictures"
    path.mkdir()
    for name in ("3.png", "1.jpg", "2.png"):
        Image.new("RGB", (20, 10), "red").save(path / name)
    return path


def captions(folder: Path, text: str | bytes) -> Path:
    path = folder.parent / "captions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(folder: Path, text: str | bytes) -> str:
    path = captions(folder, text)
    with pytest.raises(InputError) as caught:
        index(folder, path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_pictures_and_references_through_the_table(folder: Path, tmp_path: Path) -> None:
    text = 'image_id,caption\n2.png,a car\n1,"a giraffe, in the snow"\n2, a  red car \n'
    found = index(folder, captions(folder, text))
    expected = (
        Picture("1", folder / "1.jpg", ("a giraffe, in the snow",)),
        Picture("2", folder / "2.png", ("a car", "a red car")),
        Picture("3", folder / "3.png", ()),
    )
    assert found.pictures == expected
    table = tmp_path / "pictures.parquet"
    tables.write_table(table, found.frame(), tables.PICTURES, Provenance())
    frame = tables.read_table(table, tables.PICTURES)
    assert from_frame(frame) == expected
    assert frame[["width", "height", "mode", "note"]].to_numpy().tolist() == [[20, 10, "RGB", ""]] * 3


def test_without_captions(folder: Path) -> None:
    assert [p.references for p in index(folder).pictures] == [(), (), ()]


def test_broken_pictures_are_skipped_and_named_and_the_others_kept(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = (folder / "1.jpg").read_bytes()
    (folder / "1.jpg").write_bytes(data[: len(data) // 2])
    (folder / "4.png").write_text("not a picture")
    (folder / "5.PNG").symlink_to("nowhere.png")
    text = "image_id,caption\n1,a car\n2,a car\n4,a dog\n"
    with caplog.at_level(logging.WARNING):
        found = index(folder, captions(folder, text))
    assert [(p.image_id, p.references) for p in found.pictures] == [("2", ("a car",)), ("3", ())]
    assert [s.path.name for s in found.skipped] == ["1.jpg", "4.png", "5.PNG"]
    first, second, third = caplog.messages
    assert first == (
        f"{folder}/1.jpg: truncated, the file ends after {len(data) // 2} bytes. "
        "Replace it and run `snakemake` again. Skipped, the other 2 go on."
    )
    assert second.startswith(f"{folder}/4.png: a text file") and third.startswith(f"{folder}/5.PNG: no such")
    table = tmp_path / "skipped.parquet"
    tables.write_table(table, found.skipped_frame(), tables.SKIPPED, Provenance())
    assert tables.read_table(table, tables.SKIPPED)["reason"].tolist() == [s.reason for s in found.skipped]


def test_conversions_are_logged_and_in_the_table(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGBA", (20, 10), (0, 0, 0, 0)).save(folder / "2.png")
    with caplog.at_level(logging.INFO):
        found = index(folder)
    assert caplog.messages == [f"{folder}/2.png: transparency laid over white"]
    assert found.frame()["note"].tolist() == ["", "transparency laid over white", ""]


def test_nothing_is_skipped_is_an_empty_table(folder: Path, tmp_path: Path) -> None:
    tables.write_table(tmp_path / "s.parquet", index(folder).skipped_frame(), tables.SKIPPED, Provenance())
    assert tables.read_table(tmp_path / "s.parquet", tables.SKIPPED).empty


def test_all_pictures_broken(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_text("")
    with pytest.raises(
        InputError, match=r"pictures: none of its 3 pictures can be used\. The first: .*1\.jpg: an em"
    ):
        index(folder)


def test_empty_missing_and_nested_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r": no pictures in this folder\. Add some"):
        index(tmp_path)
    with pytest.raises(InputError, match=r"nowhere: no such folder\. Set the dataset's path"):
        index(tmp_path / "nowhere")
    (tmp_path / "cats").mkdir()
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match=r"Its subfolders \(cats\) are not searched"):
        index(tmp_path)
    with pytest.raises(InputError, match=r"notes\.txt: is a file, not a folder"):
        index(tmp_path / "notes.txt")


def test_what_else_lies_in_the_folder_is_left_out_and_said(folder: Path) -> None:
    (folder / "notes.txt").write_text("")
    (folder / "more").mkdir()
    (folder / "._1.jpg").write_text("what macOS leaves")
    found = index(folder)
    assert len(found.entries) == 3 and not found.skipped
    assert found.notes == (
        f"{folder}: subfolders are not searched: more",
        f"{folder}: no pictures by their names, left out: notes.txt",
    )


def test_the_captions_file_may_lie_among_the_pictures(folder: Path) -> None:
    inside = captions(folder, "image_id,caption\n1,a car\n2,a car\n3,a car\n").rename(folder / "captions.csv")
    assert index(folder, inside).notes == ()
    assert index(folder).notes == (f"{folder}: no pictures by their names, left out: captions.csv",)


def test_a_folder_that_may_not_be_listed() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        folder = Path(name, "pictures")
        folder.mkdir(0o300)
        complaint = r"pictures: may not be listed\. Allow it \(`chmod u\+rx "
        with pytest.raises(InputError, match=complaint), small_disk.without_privileges():
            index(folder)


def test_the_limit_counts_usable_pictures(folder: Path) -> None:
    (folder / "1.jpg").write_text("")
    found = index(folder, limit=1)
    assert [p.image_id for p in found.pictures] == ["2"] and len(found.skipped) == 1
    assert found.notes == (f"{folder}: the first 1 usable of 3 pictures, as the limit asks",)
    assert index(folder, limit=2).notes == ()
    with pytest.raises(ValueError, match="at least 1"):
        index(folder, limit=0)


def test_pictures_that_share_a_stem_keep_their_suffix(folder: Path) -> None:
    Image.new("RGB", (20, 10)).save(folder / "1.png")
    found = index(folder, captions(folder, "image_id,caption\n1.png,a wall\n3,a car\n"))
    assert [p.image_id for p in found.pictures] == ["1.jpg", "1.png", "2", "3"]
    assert found.pictures[1].references == ("a wall",)
    assert refusal(folder, "image_id,caption\n1,a wall\n").startswith("line 2: no picture for image_id '1'.")
    Image.new("RGB", (20, 10)).save(folder / "2.png.png")
    with pytest.raises(
        InputError, match=r"2\.png\.png: without its suffix this is the name of .*2\.png\. Rename"
    ):
        index(folder)


def test_accents_composed_or_not_are_the_same_name(folder: Path) -> None:
    Image.new("RGB", (20, 10)).save(folder / "cafe\u0301.png")
    found = index(folder, captions(folder, "image_id,caption\ncaf\u00e9,a cup\n"))
    assert found.pictures[-1].references == ("a cup",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "image_id,text\n1,a car\n",
            "no column caption; the first line has image_id, text. Make that line `image_id,caption`.",
        ),
        (
            "image_id;caption\n1;a car\n",
            "no column image_id and no column caption; the first line has image_id;caption. "
            "Its columns are separated by ';': save with commas. Make that line `image_id,caption`.",
        ),
        (
            "",
            "no column image_id and no column caption; the first line has nothing. "
            "Make that line `image_id,caption`.",
        ),
        (
            "image_id,caption,caption\n1,a,b\n",
            "column caption is there twice. Keep one; each further reference is a row.",
        ),
        (
            "image_id,caption\n1,a car\n2,a car\n1.jpg,a  car\n",
            "line 4 repeats line 2 ('1.jpg', 'a car'). Delete one of them.",
        ),
        (
            "image_id,caption\n1,a car\n31,a dog\n77,a cat\n",
            "line 3: no picture for image_id '31', nor for 1 more. Did you mean '3'? "
            "Add the picture or delete the row.",
        ),
        (
            "image_id,caption\n1,a car, red\n",
            "line 2 has 3 fields, the header 2. "
            'Put a caption that contains a comma into double quotes ("...").',
        ),
        ("image_id,caption\n1,\n", "line 2: caption is empty. Fill it or delete the row."),
        ("image_id,caption\n,a car\n", "line 2: image_id is empty. Fill it or delete the row."),
        ("image_id,caption\n", "no rows. Add one row a reference, or set captions to null."),
        ("image_id,caption\n1,café\n".encode("latin-1"), "line 2 is not UTF-8. Save the file as CSV UTF-8."),
        (
            'image_id,caption\n1,"a car\n',
            "line 2: not valid CSV (unexpected end of data). Mend that line's quotes.",
        ),
    ],
)
def test_a_faulty_captions_file(folder: Path, text: str | bytes, message: str) -> None:
    assert refusal(folder, text).startswith(message)


def test_a_missing_captions_file(folder: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such captions file\. Set captions to"):
        index(folder, folder / "none.csv")


def test_spreadsheet_csv_with_a_byte_order_mark_and_blank_lines(folder: Path) -> None:
    text = '\ufeffcaption,image_id,who\r\na car,1,me\r\n\r\n"a \r\n dog",3,you\r\n'
    found = index(folder, captions(folder, text))
    assert [p.references for p in found.pictures] == [("a car",), (), ("a dog",)]
    assert found.notes[0].endswith(
        "captions.csv: no caption for 2; peeled, but not scored against references"
    )
