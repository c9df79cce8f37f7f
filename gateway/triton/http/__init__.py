"""An HTTP/1.1 client for the Tritons behind one host name: addresses, connections, inference."""
