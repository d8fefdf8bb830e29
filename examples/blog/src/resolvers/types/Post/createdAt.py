from datetime import UTC


async def resolve(post, _info):
    return post["created_at"].astimezone(UTC).isoformat()
