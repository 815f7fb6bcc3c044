"""A GTP engine with one quirk, named by its argument; it plays the first empty point.

Run alone, without the package: engines are programs of other people.
"""

import sys
import time

# How an answer is written: {m} is "=" or "?", {n} the command's id, {t} the text, {c} the command.
WRITTEN = {
    "plain": "{m}{n} {t}\n\n",
    "crlf": "{m}{n} {t}\r\n\r\n",
    "crcrlf": "{m}{n} {t}\r\r\n\r\r\n",
    "one newline": "{m}{n} {t}\n",
    "many newlines": "\n\n{m}{n} {t}\n\n\n\n",
    "no id": "{m} {t}\n\n",
    "no id, no blank": "{m}{t}\n\n",
    "no id, one newline": "{m} {t}\n",
    "space before id": "{m} {n} {t}\n\n",
    "space before =": "  {m}{n} {t}\n\n",
    "tabs": "{m}\t{n}\t{t}\t\n\n",
    "blanks behind": "{m}{n} {t}   \n\n",
    "text before": "thinking...\n  D4: 47.9%\n{m}{n} {t}\n\n",
    "rulers": "=====\n== log ==\n=> D4\n?!\n{m}{n} {t}\n\n",
    "echo": "{n} {c}\n{m}{n} {t}\n\n",
    "text behind": "{m}{n} {t}\ninfo visits 10\nD4\n\n",
    "text behind a blank line": "{m}{n} {t}\n\ninfo visits 10\n\n",
    "text behind, no id": "{m} {t}\ninfo visits 10\n\n",
    "colors": "\x1b[1;32m{m}{n} {t}\x1b[0m\n\n",
    "progress": "10 %\r90 %\r{m}{n} {t}\n\n",
    "bell": "{m}{n} {t}\x07\n\n",
    # These cannot be understood.
    "another id": "{m}7 {t}\n\n",
    "prompt": "GTP> {m}{n} {t}\n\n",
    "no newline": "{m}{n} {t}",
    "no mark": "{t}\n\n",
    "comments without id": "{m} {t} done\n\n",
    "twice without id": "{m} {t}\n\n{m} {t}\n\n",
}
# What is written before the first command.
BANNERS = {
    "banner": b"Loading network... done\n",
    "blank banner": b"\n\n\n",
    "bom": b"\xef\xbb\xbf",
    "latin banner": b"Jos\xe9's engine\n",
    "ruler": b"========\n",
    "false answer": b"= ready\n\n",
}
# How a move is named: {v} is the vertex as GTP has it, {x} its column, {l} that in
# lower case, {y} its row.
MOVES = {
    "lower": "{l}{y}",
    "zero-padded": "{x}0{y}",
    "comment": "{v} # 51.3%, better than E5",
    "bare comment": "{v} 51.3% pv E5 D4",
    "bracket": "{v} (51.3%)",
    "full stop": "{v}.",
    "quotes": '"{v}"',
    "below": "\n{v}",
    "resign": "resign",
    "Resign": "Resign  ",
    "resign.": "resign.",
    "PASS": "PASS",
    "pass, comment": "pass (dead lost)",
    # These cannot be understood.
    "nothing": "",
    "two moves": "{v} E5",
    "off the board": "Z99",
    "column I": "I5",
    "no row": "{x}",
    "row first": "{y}{x}",
    "pair of numbers": "(0,0)",
    "letters": "aa",
    "color first": "white {v}",
    "prose": "I play {v}",
}
REFUSED = {"komi refused": "komi", "size refused": "boardsize", "genmove unknown": "genmove"}


def main() -> None:
    """Answer commands until the end."""
    quirk = sys.argv[1]
    out = sys.stdout.buffer
    out.write(BANNERS.get(quirk, b""))
    out.flush()
    form = WRITTEN.get(quirk, WRITTEN["plain"])
    size, stones = 9, set[str]()
    for line in sys.stdin:
        number, name, *words = line.split()
        mark, text = "=", ""
        if name == REFUSED.get(quirk):
            mark, text = "?", f"unacceptable {name}"
        elif name == "protocol_version":
            text = "2"
            if quirk == "version unknown":
                mark, text = "?", "unknown command"
        elif name in ("boardsize", "clear_board"):
            size, stones = int(words[0]) if words else size, set[str]()
        elif name == "play":
            stones.add(words[1])
        elif name == "genmove":
            points = [c + str(r) for r in range(1, size + 1) for c in "ABCDEFGHJ"[:size]]
            vertex = next(point for point in points if point not in stones)
            stones.add(vertex)
            column, row = vertex[0], vertex[1:]
            text = MOVES.get(quirk, "{v}").format(v=vertex, x=column, l=column.lower(), y=row)
            if quirk == "dies":
                sys.exit("out of memory")
            if quirk == "silent":
                continue
        elif name not in ("komi", "quit"):
            mark, text = "?", "unknown command"
        answer = form.format(m=mark, n=number, t=text, c=line.strip()).encode()
        if quirk == "two writes":
            out.write(answer[:2])
            out.flush()
            time.sleep(0.01)
            answer = answer[2:]
        if quirk == "noise":
            sys.stderr.write("= Z99\n" * 1000)
        out.write(answer)
        out.flush()
        if name == "quit":
            break


if __name__ == "__main__":
    main()
