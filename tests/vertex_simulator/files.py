"""The files of the Gemini API, and its resumable uploads.

Source: ai.google.dev/api/files, and what google-genai sends.
"""

import re
import secrets
from typing import Any

from tests.vertex_simulator.credentials import Credentials
from tests.vertex_simulator.credentials import Denied
from tests.vertex_simulator.exchange import Answer
from tests.vertex_simulator.exchange import Request

HOST = "https://generativelanguage.googleapis.com"
_UPLOAD = re.compile(r"/upload/v1(?:beta)?/files")
_FILE = re.compile(r"/v1(?:beta)?/(?P<name>files/[\w-]+)")


class Files:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._files: dict[str, dict[str, Any]] = {}
        self._uploads: dict[str, tuple[dict[str, Any], bytes]] = {}
        """By `upload_id`: what the file will be, and what has come of it."""

    def are_asked(self, request: Request) -> bool:
        return any(pattern.fullmatch(request.path) for pattern in (_UPLOAD, _FILE))

    def answer(self, request: Request) -> Answer:
        if upload_id := "".join(request.query.get("upload_id", [])):
            # Whoever knows the URL may upload.
            return self._continue(request, upload_id)
        self._credentials.check(request.headers, request.query)
        if _UPLOAD.fullmatch(request.path):
            return self._start(request)
        match = _FILE.fullmatch(request.path)
        file = self._files.get(match["name"]) if match else None
        if not file:
            raise Denied(404, "NOT_FOUND", "The file does not exist.")
        if request.method == "DELETE":
            del self._files[file["name"]]
            return Answer.json({})
        return Answer.json(file)

    def _start(self, request: Request) -> Answer:
        headers = request.headers
        command = (headers.get("x-goog-upload-protocol"), headers.get("x-goog-upload-command"))
        if request.method != "POST" or command != ("resumable", "start"):
            raise Denied(400, "INVALID_ARGUMENT", "An upload begins with a resumable start.")
        told = request.json().get("file", {})
        file = {
            "name": told.get("name", f"files/{secrets.token_hex(6)}"),
            "displayName": told.get("displayName") or told.get("display_name"),
            "mimeType": headers["x-goog-upload-header-content-type"],
            "sizeBytes": headers["x-goog-upload-header-content-length"],
        }
        upload_id = secrets.token_urlsafe(16)
        self._uploads[upload_id] = (file, b"")
        url = f"{HOST}{request.path}?upload_id={upload_id}&upload_protocol=resumable"
        control = f"{HOST}{request.path}?upload_id={upload_id}"
        return Answer(
            content_type="text/plain; charset=utf-8",
            headers=[
                ("X-Goog-Upload-URL", url),
                ("X-Goog-Upload-Control-URL", control),
                ("X-Goog-Upload-Chunk-Granularity", "8388608"),
                ("X-Goog-Upload-Status", "active"),
            ],
        )

    def _continue(self, request: Request, upload_id: str) -> Answer:
        if upload_id not in self._uploads:
            raise Denied(404, "NOT_FOUND", "The upload does not exist.")
        file, content = self._uploads[upload_id]
        if int(request.headers["x-goog-upload-offset"]) != len(content):
            raise Denied(400, "INVALID_ARGUMENT", "The offset is not where the upload is.")
        content += request.body
        self._uploads[upload_id] = (file, content)
        if "finalize" not in request.headers["x-goog-upload-command"]:
            return Answer(headers=[("X-Goog-Upload-Status", "active")])
        del self._uploads[upload_id]
        if len(content) != int(file["sizeBytes"]):
            raise Denied(400, "INVALID_ARGUMENT", "The size is not the one that was announced.")
        file |= {"uri": f"{HOST}/v1beta/{file['name']}", "state": "ACTIVE"}
        self._files[file["name"]] = file
        answer = Answer.json({"file": file})
        answer.headers.append(("X-Goog-Upload-Status", "final"))
        return answer
