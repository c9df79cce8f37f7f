"""The REST gateway: validates, asks Triton, answers. `gateway.app.create_app` puts it together."""
