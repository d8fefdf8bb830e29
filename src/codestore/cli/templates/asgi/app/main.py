"""The application: `uvicorn app.main:app` serves it anywhere."""

from fastapi import FastAPI

app = FastAPI(title="{{name}}")


@app.get("/")
def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
