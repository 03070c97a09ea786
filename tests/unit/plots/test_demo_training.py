"""The curve of the demo's training: its title and labels come from the table."""

import pandas as pd
from matplotlib.text import Text

from vitpeel.plots import demo_training


def test_the_title_and_labels_come_from_the_table() -> None:
    curve = pd.DataFrame(
        {
            "images": [100, 200, 300],
            "depth": [13, 13, 39],
            "loss": [3.0, 2.0, 1.0],
            "right_objects": [0.1, 0.2, 0.37],
            "exact": [0.0, 0.1, 0.21],
            "seconds": [1, 2, 3],
        }
    )
    words = [text.get_text() for text in demo_training.draw(curve).findobj(Text)]
    assert "After 300 pictures the demo captioner names exactly the right objects in 37%" in words
    assert {"37% exactly the right objects", "21% the exact caption", "grown to 39 blocks"} <= set(words)
