from src.data.posts import newest

MOST = 100


def posts(_obj, _info, limit, offset):
    if not 0 <= limit <= MOST:
        raise ValueError(f"limit must be between 0 and {MOST}")
    if offset < 0:
        raise ValueError("offset must not be negative")
    return newest(limit, offset)
