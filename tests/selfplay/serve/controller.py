"""The controller's side of GTP, for tests: sends lines and checks the frame of the answers."""

import re

from selfplay.serve.gtp import Server

ANSWER = re.compile(r"[=?]([0-9]*)( [^\x00-\x08\x0a-\x1f]*)?(\n[^\x00-\x08\x0a-\x1f]+)*\n\n")
"""An answer by section 2.6 of the specification: no controls, no empty line before the end."""


def send(server: Server, *lines: str) -> str:
    """Sends lines, all of which must succeed; returns the last answer without its frame."""
    answer = ""
    for line in lines:
        answer = server.respond(line + "\n")
        assert ANSWER.fullmatch(answer) and answer.startswith("="), (line, answer)
    return answer[1:].strip()


def rejection(server: Server, line: str) -> str:
    """Sends a line, which must be rejected; returns the error message."""
    answer = server.respond(line + "\n")
    assert ANSWER.fullmatch(answer) and answer.startswith("? "), (line, answer)
    return answer[2:].strip()
