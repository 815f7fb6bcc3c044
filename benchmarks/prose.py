"""Finds the prose of sources, docstrings that are no sentence, and phrases to avoid.

The rules are heuristics for English; `readability.py --help` explains them.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented: TypeAlias = Function | ast.ClassDef

SHORT_CHARACTERS = 34  # below this a first sentence is short
SHORT_WORDS = 6  # and up to this, so that a longer word does not make it long

GAP = r"(?:[ \t]*\n[ \t]*|[ \t]+)"  # between two words of one paragraph
SENTENCE_END = r"(?=\s*(?:[.;:!?)|]|\Z|\n\s*(?:\n|[-*|]\s)))"
PHRASES = tuple(
    re.compile(pattern.replace(" ", GAP))
    for pattern in (
        r"\b[Ii]s none\b|\b[Aa]re none\b",
        r"\b[Tt]hat is no\b(?! longer\b)(?! more\b)",
        r"\b[Aa]new\b",
        r"\b[Hh]angs? on\b",
        r"\b[Ll](?:ies|ie|ay) in\b(?! [(\[\d])",  # "lies in [-1, 1]" is usual mathematics
        r"\b[Ss](?:tands?|tood) (?:beside|for)\b",
        r"\b[Gg]o(?:es)? on\b",
        r"\b[Ss]o many\b",
        r"\b[Bb]ut for\b",
        r"\btoo\b" + SENTENCE_END,
        r"\b(?:is|are|was|were) told\b",
        r"\b[Ww]hat there is to know\b",
    )
)

# Words with which no sentence about a function or a class opens.
FRAGMENT_OPENINGS = frozenset(
    "what of who whom whose how whether where when which why nobody nothing for by from in on at "
    "to with as or and but also else not no only".split()
)
DETERMINERS = frozenset(
    "a an the one each every all any this these those its their two if whether how what where "
    "which no whatever both".split()
)
FILLERS = DETERMINERS | frozenset(
    "of to in on at by for from with as and or it them that is are be was do does not so".split()
)
VERBS = frozenset(
    """
    accept add admit advance allow answer append apply ask assemble assert assign attach average
    block bound broadcast build cache calculate call cancel cast change check choose clean clear
    clip close collect combine commit compare compile compose compute concatenate configure connect
    construct convert copy count create cut decide decode decrease define delete derive describe
    detect determine deserialize digest disable discard display distribute divide do download draw
    drop dump emit enable encode end enqueue ensure enter enumerate escape estimate evaluate exclude
    execute exit expand explain export extend extract fail fetch fill filter find finish fit flatten
    flip flush fold follow forget format forward free gather generate get give group grow guess
    handle hash hide hold identify ignore import include increase infer initialize insert install
    interpolate invert iterate join keep kill label launch learn let limit list load locate lock log
    look make map mark mask match maximize measure merge minimize mirror move multiply name
    normalize notify open order pack pad pair parse partition perform permute pick place plan play
    plot poll pop predict prepare prevent print process produce propose prune publish push put
    quantize queue quote raise randomize rank rate reach read rebuild receive record recover reduce
    refer reflect refuse register reject release reload remember remove rename render repeat replace
    replay report represent reproduce request require reset resize resolve restart restore restrict
    resume retry return reverse revert rotate round run sample save scale scan schedule score search
    seed select send separate serialize serve set shape shard show shuffle shut sign simulate skip
    solve sort split stack start step stop store stream strip submit subtract suggest sum summarize
    swap switch symmetrize take tell terminate test tighten time trace track train transform
    translate transpose traverse treat trim truncate try turn undo unpack update upload use validate
    verify visit wait walk warn watch weigh withdraw wrap write yield zero
    """.split()
)


# Docstrings


def docstrings(module: ast.Module) -> Iterator[tuple[Documented, str]]:
    """Lists the classes and functions of a module with their docstrings."""
    for node in ast.walk(module):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text


def is_fragment(node: Documented, docstring: str) -> bool:
    """Tells whether a docstring opens as no sentence does, or is short and no sentence."""
    sentence = first_sentence(docstring)
    short = len(sentence) < SHORT_CHARACTERS or len(sentence.split()) <= SHORT_WORDS
    return opens_as_fragment(sentence) or (short and not is_sentence(node, sentence))


def lacks_verb(node: Documented, docstring: str) -> bool:
    """Tells whether a docstring is a function's, no property's, and starts with no verb."""
    return isinstance(node, Function) and not _is_property(node) and not starts_with_verb(docstring)


def first_sentence(text: str) -> str:
    """Returns the first sentence of a docstring on one line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) ", paragraph)[0]


def opens_as_fragment(sentence: str) -> bool:
    """Tells whether a docstring opens with a question word, a preposition or a conjunction."""
    return sentence.split()[0].strip(",.:;").lower() in FRAGMENT_OPENINGS


def is_sentence(node: Documented, text: str) -> bool:
    """Tells whether a short docstring can be understood with the name covered.

    It ends with a period and holds two words besides articles, pronouns and prepositions. A
    function's starts with a verb; a class's or a property's is three words or more and does not.
    """
    words = _words(text)
    if not text.endswith(".") or len([word for word in words if word not in FILLERS]) < 2:
        return False
    if isinstance(node, ast.ClassDef) or _is_property(node):
        return len(words) > 2 and not starts_with_verb(text)
    return starts_with_verb(text)


def starts_with_verb(text: str) -> bool:
    """Tells whether a text starts with a verb, imperative or third person.

    A form of a verb of `VERBS` counts, and a word in -s before a determiner, but never a word
    before "of": "Games of one run" are no act.
    """
    first, second = [*_words(text)[:2], "", ""][:2]
    if second == "of" or not re.match(r"[A-Z]?[a-z-]+(?= |\.|$)", text):
        return False
    stems = (first, first.removesuffix("s"), first.removesuffix("es"), re.sub("ies$", "y", first))
    in_s = re.fullmatch(r"[a-z-]+[^isu]s", first) is not None
    return any(stem in VERBS for stem in stems) or (in_s and second in DETERMINERS)


def _words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Za-z][\w'-]*", text)]


def _is_property(node: Documented) -> bool:
    names = (ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list)
    return any(name in ("property", "cached_property") for name in names)


# Prose


@dataclass(frozen=True)
class Prose:
    """A piece of prose: a docstring, a message, a block of comments or a page."""

    line: int  # of its beginning
    text: str


def phrases(prose: Prose) -> Iterator[tuple[int, str]]:
    """Finds the phrases to avoid outside code spans: the line of each, and the words around it."""
    text = _blank(r"`[^`\n]+`", prose.text)
    for match in (match for phrase in PHRASES for match in phrase.finditer(text)):
        line = prose.line + text.count("\n", 0, match.start())
        around = text[max(match.start() - 30, 0) : match.end() + 30]
        yield line, " ".join(around.split())


def prose_of_page(page: str) -> Prose:
    """Returns a Markdown page without its code blocks, the lines kept."""
    return Prose(1, _blank(r"(?ms)^ *```.*?^ *```", page))


def _blank(pattern: str, text: str) -> str:
    return re.sub(pattern, lambda match: "\n" * match.group().count("\n"), text)


def comments(source: str) -> Iterator[Prose]:
    """Lists the comments of a Python source; those on consecutive lines are one piece."""
    block: list[str] = []
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] != last + 1:
                yield Prose(last - len(block) + 1, "\n".join(block))
                block = []
            block.append(token.string.lstrip("# "))
            last = token.start[0]
    if block:
        yield Prose(last - len(block) + 1, "\n".join(block))


def strings(module: ast.Module) -> Iterator[Prose]:
    """Lists the strings of two words or more: docstrings, messages, help texts."""
    formatted = [node for node in ast.walk(module) if isinstance(node, ast.JoinedStr)]
    pieces = {piece for node in formatted for piece in node.values}
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(piece.value) if isinstance(piece, ast.Constant) else "{}"
                for piece in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in pieces:
            text = node.value
        else:
            continue
        if " " in text.strip():
            yield Prose(node.lineno, text)
