"""Service: the triage page of one output folder.

``fastapi`` and ``uvicorn`` are imported here, so import this room only where it is served.
"""

from irae.worklist.server import create_app, serve

__all__ = ["create_app", "serve"]
