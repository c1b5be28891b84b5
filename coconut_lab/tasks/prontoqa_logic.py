"""The sentences of ProntoQA: text to claims and back, and what follows from claims.

    Max is a vumpus.             one individual, one concept
    Each vumpus is not wooden.   every member of a concept, one property
    Vumpuses are brimpuses.      the same in the plural; "Every" says what "Each" says

This module knows nothing of problems; `prontoqa.py` builds on it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from coconut_lab.tasks.notation import ProblemError

ASK = "True or false:"
STYLES = ("each", "every", "plural")

_END = re.compile(r"(?<=[.?!])\s+")
_RULE = re.compile(
    r"(?:(?:each|every)\s+(?P<one>\S+)\s+is|(?P<many>\S+)\s+are)"
    r"(?P<not>\s+not)?(?P<a>\s+an?)?\s+(?P<what>\S+)",
    re.IGNORECASE,
)
_FACT = re.compile(
    r"(?!(?i:each|every)\s)(?P<who>\S+)\s+is(?P<not>\s+not)?(?P<a>\s+an?)?\s+(?P<what>\S+)"
)


@dataclass(frozen=True)
class Claim:
    """One sentence, free of wording.

    Attributes:
        subject: an individual ("Max") or a concept in the singular ("vumpus").
        predicate: a concept in the singular or a property ("wooden").
        general: whether the subject is a concept, so that the claim is about all of its members.
        concept: whether the predicate is a concept.
        negated: whether the sentence says "not".
    """

    subject: str
    predicate: str
    general: bool
    concept: bool
    negated: bool = False

    @property
    def opposite(self) -> Claim:
        """The claim that says the contrary."""
        return replace(self, negated=not self.negated)


@dataclass(frozen=True)
class Page:
    """What the text of a ProntoQA question says.

    Attributes:
        facts: what is stated, in order.
        query: the claim that is true or false.
    """

    facts: tuple[Claim, ...]
    query: Claim


def singular(word: str) -> str:
    """Give the singular of a concept: "vumpuses" becomes "vumpus"."""
    return word[:-2] if word.endswith("uses") else word


def split_sentences(text: str) -> list[str]:
    """Cut a text after full stops, question and exclamation marks."""
    return [sentence for sentence in _END.split(text.strip()) if sentence]


def read_claim(sentence: str) -> Claim | None:
    """Read one sentence.

    Args:
        sentence: such as "Each vumpus is not wooden." A plural noun must end in "-uses", which
            tells "Brimpuses are grimpuses" from "Brimpuses are large".

    Returns:
        The claim, or None when the sentence has none of the forms.
    """
    bare = sentence.strip().rstrip(".?! ")
    rule = _RULE.fullmatch(bare)
    match = rule or _FACT.fullmatch(bare)
    if match is None:
        return None
    negated, what = match["not"] is not None, match["what"].lower()
    if rule is None:
        return Claim(match["who"], what, False, match["a"] is not None, negated)
    if match["one"]:
        return Claim(match["one"].lower(), what, True, match["a"] is not None, negated)
    many = match["many"].lower()
    if singular(many) == many or match["a"] is not None:
        return None
    return Claim(singular(many), singular(what), True, singular(what) != what, negated)


def write_claim(claim: Claim, style: str = "each") -> str:
    """Write one claim as the published generator words it.

    Args:
        claim: the claim.
        style: "each", "every" or "plural"; a claim about an individual has one wording only.

    Returns:
        The sentence.
    """
    plural = claim.general and style == "plural"
    predicate = claim.predicate
    if claim.concept:
        predicate = f"{predicate}es" if plural else f"{_article(predicate)} {predicate}"
    if claim.negated:
        predicate = f"not {predicate}"
    if not claim.general:
        return f"{claim.subject} is {predicate}."
    if plural:
        return f"{claim.subject.capitalize()}es are {predicate}."
    return f"{style.capitalize()} {claim.subject} is {predicate}."


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def read_page(text: str) -> Page:
    """Read a ProntoQA question: facts, then "True or false: Max is wooden."

    Args:
        text: the question.

    Returns:
        What it states and asks.

    Raises:
        ProblemError: no query, or a sentence that cannot be read; the message says which.
    """
    stated, mark, asked = text.partition(ASK)
    if not mark:
        raise ProblemError(f"the question does not ask {ASK!r}; end it with '{ASK} Max is wooden.'")
    query = read_claim(asked)
    if query is None or query.general:
        raise ProblemError(
            f"cannot read the query {asked.strip()!r}; write '{ASK} Max is wooden.' or "
            f"'{ASK} Max is not a vumpus.'"
        )
    facts = []
    for number, sentence in enumerate(split_sentences(stated), start=1):
        claim = read_claim(sentence)
        if claim is None:
            raise ProblemError(
                f"fact {number} cannot be read: {sentence!r}; write 'Max is a vumpus.', 'Each "
                "vumpus is wooden.', 'Every vumpus is not wooden.' or 'Vumpuses are brimpuses.'"
            )
        facts.append(claim)
    return Page(tuple(facts), query)


def follows(claim: Claim, said: Collection[Claim]) -> bool:
    """Tell whether a claim follows from two of the claims `said`, by one rule.

    "Max is a vumpus" and "each vumpus is wooden" give "Max is wooden".
    """
    return any(
        replace(rule, subject=claim.subject, general=claim.general) == claim
        and Claim(claim.subject, rule.subject, claim.general, concept=True) in said
        for rule in said
        if rule.general
    )


def consequences(facts: Iterable[Claim], individual: str) -> frozenset[Claim]:
    """Derive everything that facts say about one individual, by any number of rules."""
    facts = list(facts)
    rules: dict[str, list[Claim]] = {}
    for fact in facts:
        if fact.general:
            rules.setdefault(fact.subject, []).append(fact)
    queue = [fact for fact in facts if fact.subject == individual and not fact.general]
    found = set(queue)
    for claim in queue:
        if not claim.concept or claim.negated:
            continue
        for rule in rules.get(claim.predicate, ()):
            new = replace(rule, subject=individual, general=False)
            if new not in found:
                found.add(new)
                queue.append(new)
    return frozenset(found)
