"""The controller's side of GTP, for tests: sends lines and checks the frame of the answers."""

import re

from selfplay.serve.gtp import Server

ANSWER = re.compile(r"[=?]([0-9]*)( [^\x00-\x08\x0a-\x1f]*)?(\n[^\x00-\x08\x0a-\x1f]+)*\n\n")
"""What section 2.6 of the specification allows: no controls, no empty line before the end."""


def ask(server: Server, *lines: str) -> str:
    """The last line's answer, without its frame; every one must be a success."""
    said = ""
    for line in lines:
        said = server.respond(line + "\n")
        assert ANSWER.fullmatch(said) and said.startswith("="), (line, said)
    return said[1:].strip()


def refused(server: Server, line: str) -> str:
    """The sentence of a refusal."""
    said = server.respond(line + "\n")
    assert ANSWER.fullmatch(said) and said.startswith("? "), (line, said)
    return said[2:].strip()
