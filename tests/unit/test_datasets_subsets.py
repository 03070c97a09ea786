"""Parts of a set of pictures: seeded, disjoint, in order, and refused when empty."""

import numpy as np
import pandas as pd
import pytest

from vitpeel.datasets.subsets import choose
from vitpeel.errors import InputError


def table(size: int) -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"p{index:03d}" for index in range(size)]})


def ids(frame: pd.DataFrame) -> list[str]:
    return frame["image_id"].tolist()


def test_a_sample_is_seeded_without_repeats_and_in_order() -> None:
    drawn = ids(choose(table(100), "sample", seed=1, count=30))
    assert drawn == sorted(set(drawn)) and len(drawn) == 30
    assert drawn == ids(choose(table(100), "sample", seed=1, count=30))
    assert drawn != ids(choose(table(100), "sample", seed=2, count=30))


@pytest.mark.parametrize("count", [100, 500, None])
def test_a_sample_of_more_than_there_are_is_all(count: int | None) -> None:
    assert ids(choose(table(100), "sample", seed=1, count=count)) == ids(choose(table(100), "all", seed=1))


@pytest.mark.parametrize(("parts", "count"), [(("sample", "rest"), 30), (("half", "other half"), None)])
def test_two_parts_cover_everything_once(parts: tuple[str, str], count: int | None) -> None:
    one, two = (ids(choose(table(99), part, seed=3, count=count)) for part in parts)  # type: ignore[arg-type]
    assert sorted(one + two) == ids(table(99)) and not set(one) & set(two)
    assert len(one) == (count or 49)


def test_pictures_by_name_come_in_the_order_given() -> None:
    assert ids(choose(table(9), "named", seed=0, images=["p007", "p001"])) == ["p007", "p001"]
    with pytest.raises(InputError, match="picture p009: not in the table"):
        choose(table(9), "named", seed=0, images=["p001", "p009"])


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(InputError, match="the rest of 9 out of 9 pictures is empty"):
        choose(table(9), "rest", seed=0, count=9)


def test_the_draw_depends_on_seed_and_number_alone() -> None:
    other = table(100).assign(image_id=np.arange(100).astype(str))
    one, two = (choose(own, "sample", seed=5, count=10) for own in (table(100), other))
    assert [int(name[1:]) for name in ids(one)] == [int(name) for name in ids(two)]
