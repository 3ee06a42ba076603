"""What iptables-save prints, read back.

A rule is kept as the text that was printed: the kernel and the tool normalise rules, so the one
sure way to name a rule for deletion is to repeat what the tool itself said. All that changing a
table takes out of it are the comment and, for jumps, where they lead.
"""

from __future__ import annotations

from mesos_cni_port_mapper.value import Value


class Listing(Value):
    """The nat table: for each chain the text of its rules, and which chains are the kernel's."""

    chains: dict[str, tuple[str, ...]]
    built_in: frozenset[str]


def parse_listing(data: bytes) -> Listing:
    """Parse the output of ``iptables-save -t nat``."""
    chains: dict[str, list[str]] = {}
    built_in = []
    # Comments of other people's rules may hold any bytes; they must come back as they were.
    for line in _split_lines(data.decode("utf-8", "surrogateescape")):
        if line.startswith(":"):
            name, policy = line[1:].split(" ", 2)[:2]
            chains[name] = []
            if policy != "-":
                built_in.append(name)
        elif line.startswith("-A "):
            name, _, rule = line[3:].partition(" ")
            chains.setdefault(name, []).append(rule)
    return Listing(
        chains={name: tuple(rules) for name, rules in chains.items()},
        built_in=frozenset(built_in),
    )


def parse_counted(data: bytes) -> list[tuple[int, int, str, str]]:
    """Parse ``iptables-save -c``: packets, bytes, chain and text of each rule."""
    found = []
    for line in _split_lines(data.decode("utf-8", "surrogateescape")):
        counters, bracket, rule = line.partition("] -A ")
        if bracket and counters.startswith("["):
            packets, _, count = counters[1:].partition(":")
            chain, _, text = rule.partition(" ")
            found.append((int(packets), int(count), chain, text))
    return found


def _split_lines(text: str) -> list[str]:
    """Split at line breaks outside of quotes: a comment may hold one, and look like a line then."""
    lines = []
    begun = ""
    for piece in text.split("\n"):
        line = begun + piece
        quotes = line.replace("\\\\", "").replace('\\"', "").count('"')
        if quotes % 2:
            begun = line + "\n"
        else:
            lines.append(line)
            begun = ""
    return lines


def bears_tag(rule: str, tag: str) -> bool:
    """Tell whether the rule's comment is ``tag``, the whole of it and nothing more."""
    if tag not in rule:
        return False
    if "\\" not in rule:
        # Without escapes no quote stands inside a quoted word, and a tag, which holds spaces, is
        # always quoted: the text alone decides, a hundred times faster than taking it apart.
        return f'--comment "{tag}"' in rule
    return _option(split_words(rule), "--comment") == tag


def comment_of(rule: str) -> str:
    """Return a rule's comment, or ""."""
    return _option(split_words(rule), "--comment") if "--comment" in rule else ""


def destination_of(rule: str) -> str:
    """Return the IPv4 address that the rule gives packets for a destination, or ""."""
    return _option(split_words(rule), "--to-destination").partition(":")[0]


def jump_target(rule: str) -> str:
    """Return the target or chain that the rule jumps or goes to, or ""."""
    words = split_words(rule)
    return _option(words, "-j") or _option(words, "-g")


def split_words(rule: str) -> list[str]:
    """Split a rule into words, undoing the quotes and backslashes of ``xtables_save_string``."""
    if '"' not in rule and "\\" not in rule:
        return rule.split(" ")
    # Words end at spaces outside quotes. Everything between two quotes is one piece, escapes in it
    # included, so pieces at odd places are the quoted ones.
    words = [""]
    for index, piece in enumerate(_split_at_quotes(rule)):
        if index % 2:
            words[-1] += piece
            continue
        first, *others = piece.split(" ")
        words[-1] += first
        words += others
    return words


def _split_at_quotes(rule: str) -> list[str]:
    pieces = [""]
    position = 0
    while position < len(rule):
        character = rule[position]
        if character == '"':
            pieces.append("")
        else:
            position += character == "\\"
            pieces[-1] += rule[position : position + 1]
        position += 1
    return pieces


def _option(words: list[str], name: str) -> str:
    """Return the value of an option, or ""; a comment that looks like an option is none."""
    position = 0
    while position < len(words) - 1:
        word, value = words[position], words[position + 1]
        if word == name:
            return value
        position += 2 if word == "--comment" else 1
    return ""
