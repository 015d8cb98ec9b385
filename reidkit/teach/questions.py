"""Questions about a chapter that later chapters ask: the recall.toml of its room, and whose turn
it is.

    [junk]
    question = "..."
    options = ["...", "...", "..."]
    right = 2  # the number of an option, from 1
    why = "One sentence that says why."
    exercise = "keep"  # if you like: whoever needed several tries at it is asked first
"""

import tomllib
from dataclasses import dataclass

from .. import files
from . import rooms
from .messages import say

FORM = {"question": str, "options": list, "right": int, "why": str}
OPTIONAL = {"exercise": str}
SEVERAL = 3  # tries at an exercise, from which on it counts as hard


@dataclass(frozen=True)
class Question:
    """One question about a chapter, with its answer."""

    key: str  # "01-junk": the chapter's number and a key of its recall.toml
    question: str
    options: tuple[str, ...]
    right: str  # one of the options
    why: str
    exercise: str  # "01-keep", or "" where it belongs to none


def load_questions(number: str) -> list[Question]:
    """The questions about a chapter in the order of its room's recall.toml; [] without such a file.

    Args:
        number: of the chapter, such as "03" or "01b".
    Raises:
        KeyError: no chapter has this number.
        ValueError: the file, or a question in it, has another form; the message says which and how.
    """
    path = rooms.room_folder(number) / "recall.toml"
    try:
        table = rooms.read_table(path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(say("recall file", path=path, reason=error)) from error
    return [_checked(path, number, key, fields) for key, fields in table.items()]


def _checked(path, number, key, fields):
    """One table of recall.toml as a Question."""

    def refuse(what):
        raise ValueError(say("recall form", path=path, key=key, what=what))

    if not isinstance(fields, dict):
        refuse(say("recall table", value=fields))
    unknown = fields.keys() - FORM.keys() - OPTIONAL.keys()
    if unknown:
        refuse(say("recall unknown", fields=", ".join(sorted(unknown)), known=", ".join(FORM)))
    given = {name: kind for name, kind in OPTIONAL.items() if name in fields}
    for name, kind in {**FORM, **given}.items():
        value = fields.get(name)
        if type(value) is not kind or value in ("", []):
            refuse(say("recall field", field=name, value=value, kind=kind.__name__))
    options = fields["options"]
    are_texts = all(isinstance(option, str) and option for option in options)
    if not are_texts or len(set(options)) != len(options) or len(options) < 2:
        refuse(say("recall options", options=options))
    if not 1 <= fields["right"] <= len(options):
        refuse(say("recall right", right=fields["right"], count=len(options)))
    exercise = fields.get("exercise", "")
    return Question(
        key=f"{number}-{key}",
        question=fields["question"],
        options=tuple(options),
        right=options[fields["right"] - 1],
        why=fields["why"],
        exercise=exercise and f"{number}-{exercise}",
    )


def find_question(key: str) -> Question:
    """The question of this key.

    Args:
        key: the chapter's number, a dash and a key of its recall.toml, "01-junk".
    Raises:
        KeyError: there is no such question, or no such chapter.
    """
    number = str(key).partition("-")[0]
    questions = {question.key: question for question in load_questions(number)}
    if key not in questions:
        raise KeyError(say("recall no question", key=key, known=", ".join(questions) or "none"))
    return questions[key]


def choose(chapter: str, record: dict, count: int = 3) -> list[Question]:
    """The questions that a chapter asks about earlier ones.

    First those that were answered wrong last time, then those whose exercise went wrong or took
    several tries, then those that were never asked, then what was asked longest ago. Among equals
    the first question of each chapter comes before any second one, and near chapters before far
    ones. The same record gives the same questions.

    Args:
        chapter: number of the chapter that asks.
        record: {"recall": ..., "exercises": ...} as progress.json holds them; empty parts give the
            first questions of the nearest chapters.
        count: how many at most.
    Raises:
        KeyError: no chapter has this number.
        ValueError: a recall.toml has another form.
    """
    turns = []
    for distance, number in enumerate(reversed(rooms.numbers_before(chapter))):
        for place, question in enumerate(load_questions(number)):
            turns.append((*_turn(question, record), place, distance, question))
    turns.sort(key=lambda turn: turn[:-1])
    return [turn[-1] for turn in turns[:count]]


def _turn(question, record):
    """(how urgent, since when): the smaller, the earlier a question is asked."""
    entry = record["recall"].get(question.key)
    if entry and not entry["right"]:
        return 0, entry["asked"]
    if entry:
        return 2, entry["asked"]
    verdict = record["exercises"].get(question.exercise, {})
    went_wrong = verdict.get("state") in ("wrong", "error")
    if went_wrong or verdict.get("tries", 0) >= SEVERAL:
        return 1, ""
    return 2, ""


def digest_of_first(chapter: str) -> str:
    """A name for what a chapter asks where nobody's record is read, as in the gallery."""
    questions = choose(chapter, {"recall": {}, "exercises": {}})
    return files.digest([repr(question) for question in questions])
