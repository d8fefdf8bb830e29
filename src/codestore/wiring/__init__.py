"""The fuse box: the only room that names concrete things and puts them together."""
