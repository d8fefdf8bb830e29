from src.data.posts import create


def resolve(_obj, _info, title, body):
    if not title.strip():
        raise ValueError("a post needs a title")
    return create(title.strip(), body)
