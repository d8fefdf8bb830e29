"""The application; importing it connects to nothing."""

from fastapi import FastAPI

from app.routers import orders, streaming

app = FastAPI(title="Orders")
app.include_router(orders.router)
app.include_router(streaming.router)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
