"""Where the time of a request goes: gateway, transport, feature lookup, inference."""
