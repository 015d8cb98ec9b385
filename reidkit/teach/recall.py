"""Three questions at the start of a chapter about what earlier ones taught.

    teach.recall("04")

A live notebook shows buttons and tells the answer at once; what was answered is kept in
work/progress.json and decides what is asked next. Where nobody answers, or no button shows, it is
text with the answer folded.
"""

import datetime
import html
import importlib.util

from .display import emit, in_a_notebook, in_words, line
from .messages import say
from .progress import LONG, is_asked
from .progress_file import change, empty, load
from .questions import Question, choose, find_question


def today() -> datetime.date:
    """The date that is noted with an answer."""
    return datetime.date.today()


def recall(chapter: str) -> None:
    """Ask three questions about earlier chapters.

    Args:
        chapter: number of the chapter that asks, "04".
    Raises:
        KeyError: no chapter has this number.
        ValueError: the recall.toml of an earlier chapter has another form.
    """
    questions = choose(chapter, load() if is_asked() else empty())
    if not questions:
        line(say("recall none", chapter=chapter))
        return
    numbered = list(enumerate(questions, 1))
    has_buttons = importlib.util.find_spec("ipywidgets") is not None
    if is_asked() and in_a_notebook() and has_buttons:
        for place, question in numbered:
            _ask(place, question)
        return
    texts = [_in_words(place, question) for place, question in numbered]
    if not is_asked():  # nobody is there to be spoilt
        title = say("recall folded")
        texts += [f"{title} {place}: {_answer_of(question)}" for place, question in numbered]
    pages = [_with_folded_answer(place, question) for place, question in numbered]
    emit("\n".join(texts), "".join(pages))


def answer(key: str, answer: str | int) -> None:
    """Answer a question of `teach.recall` without a button.

    Args:
        key: of the question, as `teach.recall` shows it.
        answer: the number of an option, from 1, or its text.
    Raises:
        KeyError: there is no such question.
        TypeError: the answer is neither a number nor a text.
        ValueError: the question has no such option.
    """
    question = find_question(key)
    if isinstance(answer, bool) or not isinstance(answer, (int, str)):
        raise TypeError(say("recall type", key=key, answer=answer))
    numbered = dict(enumerate(question.options, 1))
    option = numbered.get(answer, answer)
    if option not in question.options:
        count = len(question.options)
        raise ValueError(
            say("recall option", key=key, answer=answer, count=count, options=question.options)
        )
    line(_judge(question, option))


def _judge(question: Question, option: str) -> str:
    """Keep an answer -> the sentence on it."""
    is_right = option == question.right

    def edit(record):
        before = record["recall"].get(question.key, {})
        record["recall"][question.key] = before | {
            "asked": today().isoformat(),
            "right": is_right,
            "times": before.get("times", 0) + 1,
        }

    change(edit)
    name = "recall right answer" if is_right else "recall wrong answer"
    return say(name, right=question.right, why=question.why)


def _answer_of(question):
    return say("recall answer", right=question.right, why=question.why)


def _in_words(place, question, option=None, verdict=""):
    """A question and its options as plain text, with the way to answer or what was answered."""
    words = [f"{place}. {question.question}"]
    for number, text in enumerate(question.options, 1):
        words.append(f"  {number} {'●' if text == option else '○'} {text}")
    if is_asked():
        words.append(verdict or say("recall how", key=question.key))
    return "\n".join(words)


def _with_folded_answer(place, question):
    """A question for a page on which no button shows."""
    answer = html.escape(_answer_of(question), quote=False)
    folded = f"<details><summary>{say('recall folded')}</summary>{answer}</details>"
    how = _paragraph(say("recall how", key=question.key)) if is_asked() else ""
    return f"{_asked(place, question)}{_options(question)}{folded}{how}"


def _beside_buttons(place, question, option, verdict):
    """A question for a page with buttons, which hold the options where these are short."""
    options = _options(question, option)
    if not _is_long(question):
        options = f"<details><summary>{say('guess folded')}</summary>{options}</details>"
    words = verdict or say("recall how", key=question.key)
    return f"{_asked(place, question)}{options}{_paragraph(words)}"


def _asked(place, question):
    return f"<p><b>{place}.</b> {html.escape(question.question)}</p>"


def _options(question, option=None):
    items = []
    for text in question.options:
        sign = " ●" if text == option else ""
        items.append(f"<li>{html.escape(text)}{sign}</li>")
    return f"<ol>{''.join(items)}</ol>"


def _paragraph(words):
    return f"<p>{html.escape(words, quote=False)}</p>"


def _is_long(question):
    """Whether a button would cut off one of the options."""
    return max(map(len, question.options)) > LONG


def _ask(place, question):
    """Display one question as text, with a button for each option; the first one pressed counts."""
    import ipywidgets
    from IPython.display import display

    def bundle(option=None, verdict=""):
        words = _in_words(place, question, option, verdict)
        page = _beside_buttons(place, question, option, verdict)
        return {"text/plain": words, "text/html": page}

    text = display(bundle(), raw=True, display_id=True)
    labels = question.options
    if _is_long(question):  # the numbers of the list above them
        labels = [str(number) for number in range(1, len(labels) + 1)]
    # Tab and Space reach each button; JupyterLab takes arrow keys from radio buttons.
    buttons = ipywidgets.ToggleButtons(
        options=list(zip(labels, question.options)),
        value=None,
        tooltips=list(question.options),
        style={"button_width": "max-content"},
    )
    told = ipywidgets.HTML()  # wraps a long sentence, which a label does not

    def tell(change):
        buttons.disabled = True  # the answer is out
        verdict = _judge(question, change["new"])
        told.value = html.escape(verdict, quote=False)
        text.update(bundle(change["new"], verdict), raw=True)

    buttons.observe(tell, names="value")
    display(in_words(ipywidgets.VBox([buttons, told]), say("recall buttons")))
