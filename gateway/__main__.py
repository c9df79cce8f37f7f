"""`python -m gateway`: one gateway in this process."""

import sys
from functools import partial

import structlog

from gateway.app import create_app
from gateway.logs import configure_logs
from gateway.server import serve
from gateway.traffic import Traffic
from gateway.triton.predictor import TritonPredictor
from preprocess.errors import TeziError
from preprocess.settings import load_settings
from preprocess.store import open_store


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    try:
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        traffic = Traffic()
        app = create_app(
            settings,
            predictor=TritonPredictor.from_settings(settings),
            open_store=partial(open_store, settings),
            traffic=traffic,
        )
        structlog.get_logger().info(
            "gateway starts", address=settings.http_url, triton=settings.triton_http_address
        )
        serve(app, settings, traffic)
    except (TeziError, OSError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
