"""The OpenAI-compatible endpoints: every mind is a model."""

from lab.api.app import create_api

__all__ = ["create_api"]
