from src.data.posts import find


def post(_obj, _info, id):  # noqa: A002 (the argument's name in the schema)
    return find(int(id)) if id.isdecimal() else None
