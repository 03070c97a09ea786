"""Where pictures come from: each kind is a module whose `index` returns a `pictures.PictureIndex`."""
