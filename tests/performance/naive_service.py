"""The naive service: one route, one process, naive features, a model unpickled once.

python -m tests.performance.naive_service DATABASE MODEL.pickle PORT
"""

import sys
from pathlib import Path

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.performance.naive import load_model, naive_features


def create_naive_app(database: Path, model_file: Path) -> Starlette:
    """The application on one database and one pickled model."""
    model = load_model(model_file)

    async def predict(request: Request) -> JSONResponse:
        body = await request.json()
        values = naive_features(database, body["bse_code"], body["prediction_date"])
        row = np.array([values], dtype=np.float32)
        return JSONResponse({"probability": float(model.predict_proba(row)[0, 1])})

    return Starlette(routes=[Route("/api/v1/predict", predict, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(
        create_naive_app(Path(sys.argv[1]), Path(sys.argv[2])),
        host="127.0.0.1",
        port=int(sys.argv[3]),
        log_level="warning",
    )
