"""Replays load through the autoscaler that Kubernetes documents, with the policies of config/."""
