"""The sentences of ProntoQA: text to literals and back, and what follows from them.

    Max is a vumpus.             one individual, one concept
    Each vumpus is not wooden.   every member of a concept, one property
    Vumpuses are brimpuses.      the same in the plural; "Every" says what "Each" says

The published generator also writes them about real animals and numbers, with nouns of two words:
"Mersenne primes are prime numbers." This module knows nothing of problems; `prontoqa.py` builds
on it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from coconut_lab.tasks.notation import ProblemError, split_sentences

ASK = "True or false:"
STYLES = ("each", "every", "plural")

_NOUN = r"\S+(?:\s\S+)?"
_SAYS = rf"(?P<not>\s+not)?(?P<a>\s+an?)?\s+(?P<what>{_NOUN})"
_RULE = re.compile(
    rf"(?:(?:each|every)\s+(?P<one>{_NOUN})\s+is|(?P<many>{_NOUN})\s+are){_SAYS}", re.IGNORECASE
)
_FACT = re.compile(rf"(?!(?i:each|every)\s)(?P<who>\S+)\s+is{_SAYS}")
# The generator's plurals that no rule gives.
_PLURALS = {word: word for word in ("bacteria", "food", "sheep", "sorpus", "worpus")}
_PLURALS["people"] = "person"


@dataclass(frozen=True)
class Literal:
    """One sentence, free of wording."""

    subject: str  # an individual ("Max") or a concept in the singular ("vumpus")
    predicate: str  # a concept in the singular or a property ("wooden")
    general: bool  # the subject is a concept, so the sentence is a rule for its members
    concept: bool  # the predicate is a concept
    negated: bool = False  # the sentence says "not"

    @property
    def opposite(self) -> Literal:
        """The literal that says the contrary."""
        return replace(self, negated=not self.negated)


@dataclass(frozen=True)
class ParsedQuestion:
    """What the text of a ProntoQA question states, in order, and what it asks."""

    facts: tuple[Literal, ...]
    query: Literal


def _singular(word: str) -> str | None:
    """The singular of a plural noun; None for another word, such as "nervous" or "vumpus"."""
    if word in _PLURALS or not word.endswith("s") or word.endswith(("us", "ss")):
        return _PLURALS.get(word)
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[: -2 if re.search("([^ao]us|ss|sh|ch|x)es$", word) else -1]


def read_literal(sentence: str) -> Literal | None:
    """Read one sentence, such as "Each vumpus is not wooden."; None if it has no known form.

    In the plural no article tells a noun from a property: there a noun is what has a singular.
    """
    bare = sentence.strip().rstrip(".?! ")
    rule = _RULE.fullmatch(bare)
    match = rule or _FACT.fullmatch(bare)
    if match is None:
        return None
    negated, what, noun = match["not"] is not None, match["what"].lower(), match["a"] is not None
    if rule is not None and match["many"]:
        subject, single = _singular(match["many"].lower()), _singular(what)
        if subject is None or noun:
            return None
        what, noun = single or what, single is not None
    else:
        subject = match["one"].lower() if rule is not None else match["who"]
    if " " in what and not noun:
        return None  # a property is one word
    return Literal(subject, what, rule is not None, noun, negated)


def write_literal(literal: Literal, style: str = "each") -> str:
    """Write one sentence as the published generator does, a rule in one of the `STYLES`."""
    plural = literal.general and style == "plural"
    predicate = literal.predicate
    if literal.concept:
        article = "an" if predicate[0] in "aeiou" else "a"
        predicate = f"{predicate}es" if plural else f"{article} {predicate}"
    if literal.negated:
        predicate = f"not {predicate}"
    if not literal.general:
        return f"{literal.subject} is {predicate}."
    if plural:
        return f"{literal.subject.capitalize()}es are {predicate}."
    return f"{style.capitalize()} {literal.subject} is {predicate}."


def parse_question(text: str) -> ParsedQuestion:
    """Read facts, then "True or false: Max is wooden."; a ProblemError names the sentence."""
    stated, mark, asked = text.partition(ASK)
    if not mark:
        raise ProblemError(f"the question does not ask {ASK!r}; end it with '{ASK} Max is wooden.'")
    query = read_literal(asked)
    if query is None or query.general:
        raise ProblemError(
            f"cannot read the query {asked.strip()!r}; write '{ASK} Max is wooden.' or "
            f"'{ASK} Max is not a vumpus.'"
        )
    facts = []
    for number, sentence in enumerate(split_sentences(stated), start=1):
        fact = read_literal(sentence)
        if fact is None:
            raise ProblemError(
                f"fact {number} cannot be read: {sentence!r}; write 'Max is a vumpus.', 'Each "
                "vumpus is wooden.', 'Every vumpus is not wooden.' or 'Vumpuses are brimpuses.'"
            )
        facts.append(fact)
    return ParsedQuestion(tuple(facts), query)


def follows(literal: Literal, said: Collection[Literal]) -> bool:
    """Tell whether a literal follows from two of those said: an "is a" and a rule for it."""
    return any(
        replace(rule, subject=literal.subject, general=literal.general) == literal
        and Literal(literal.subject, rule.subject, literal.general, concept=True) in said
        for rule in said
        if rule.general
    )


def consequences(facts: Sequence[Literal], individual: str) -> frozenset[Literal]:
    """Derive everything that facts say about one individual, by any number of rules."""
    rules: dict[str, list[Literal]] = defaultdict(list)
    for fact in facts:
        if fact.general:
            rules[fact.subject].append(fact)
    found = [fact for fact in facts if fact.subject == individual and not fact.general]
    for literal in found:  # grows while it is read
        if literal.concept and not literal.negated:
            below = rules[literal.predicate]
            new = [replace(rule, subject=individual, general=False) for rule in below]
            found += [fact for fact in new if fact not in found]
    return frozenset(found)
