"""The REST gateway: validates requests and queries Triton. `gateway.app.create_app` builds it."""
