"""What pictures from the hubs are called; light, since the configuration is checked against it."""

# Columns of WHOOPS that hold sentences about a picture: five by the crowd, or the one that was selected.
WHOOPS_CAPTIONS = ("crowd_captions", "selected_caption")


def whoops(row: int) -> str:
    """Image id of the picture in this row of WHOOPS, counted from 0."""
    return f"whoops-{row:03d}"
