"""Outside weights for a trunk, loaded safely.

Files of weights differ in how they wrap what they hold: a training script saves its epoch beside
the weights, a wrapper (DataParallel, torch.compile) puts a word before each name, a whole model
holds a classifier. What belongs to the trunk is found by comparing with the trunk's own names, and
whatever was taken off or left out is said.
"""

import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .backbones import NAMES, make_trunk
from .console import say
from .store import check_file
from .tensor_files import content_digest, find_infinite, read_any

# What wrappers put into names: DataParallel and its kin, torch.compile, checkpoints, FSDP.
WRAPPERS = ("module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
# Under which words the weights of the model itself usually are, beside those of a teacher or an
# average, say.
USUAL = (
    *WRAPPERS,
    *("state_dict", "model_state_dict", "model_state", "state", "model", "net", "network"),
    *("weights", "params", "backbone", "encoder", "trunk", "base"),
)
DEEPEST = 4  # dicts in dicts that are looked into


@dataclass(frozen=True)
class Part:
    """Tensors of a file whose names would be the trunk's own without a prefix.

    where: the words that lead to their dict. prefix: "" or it ends in "." or "/". state: all
    tensors of that dict, by full name. fitting: how many have the trunk's name and shape. named:
    how many have its name. inner: whether wrappers' words inside the names were taken out.
    """

    where: tuple
    prefix: str
    state: dict
    fitting: int
    named: int
    inner: bool = False

    def own_names(self) -> dict[str, Tensor]:
        """The tensors under the prefix, without it."""
        found = {}
        for name, value in self.state.items():
            if name.startswith(self.prefix):
                found[name[len(self.prefix) :]] = value
        return found

    @property
    def title(self) -> str:
        return " / ".join([*self.where, f"{self.prefix}*"])

    @property
    def usual(self) -> bool:
        words = [*self.where, *re.findall(r"[^./]+", self.prefix)]
        return all(word in USUAL for word in words)


def load_trunk(
    model: nn.Module,
    path: str | pathlib.Path,
    sha256: str | None = None,
    size: int | None = None,
) -> nn.Module:
    """Fill a trunk from a file of weights with torchvision's names.

    Size and SHA-256 are compared first. Checkpoints that hold a state dict beside other things,
    names with a common prefix ("module.", "backbone.") and whole models are understood: the trunk's
    part is taken, and a line says what was taken off and what was left out (a classifier, a neck).
    Numbers of another floating type are converted.

    Args:
        model: the trunk.
        path: of a safetensors file or a file of torch.save; its content tells which.
        sha256: the full hex, or its beginning as in torchvision's file names; None is not compared.
        size: in bytes; None is not compared.
    Returns:
        The model. Where an error is raised, nothing of it has changed.
    Raises:
        FileNotFoundError: no file.
        ValueError: names what differs, what the file is instead, or which numbers are not finite.
    """
    path = check_file(path, sha256, size)
    content, header = read_any(path)
    if "digest" in header and ("notes" in header or header.get("format", "").startswith("reidkit")):
        check_digest(path, content, header)
    # The trunk may be wrapped, too: plain name -> its name in the model.
    inner = unwrap(model)
    own_names = {plain_name(name): name for name in inner.state_dict()}
    own = {plain_name(name): value for name, value in inner.state_dict().items()}
    part = _find_part(path, content, own)
    state, left = _sort_out(path, part, own)
    _check_numbers(path, state, own)
    _say_what_was_done(path, part, state, left)
    full = {own_names[name]: value for name, value in state.items()}
    inner.load_state_dict(full, strict=False)
    return model


def unwrap(model: nn.Module) -> nn.Module:
    """The network itself, out of DataParallel, torch.compile and their kin.

    Args:
        model: a network or a wrapper of one.
    """
    children = dict(model.named_children())
    for word in WRAPPERS:
        if list(children) == [word]:
            return unwrap(children[word])
    return model


def plain_name(name: str) -> str:
    """The name of a tensor without what DataParallel, torch.compile and their kin put into it.

    Args:
        name: such as "module.layer1._orig_mod.0.conv1.weight".
    """
    return ".".join(word for word in name.split(".") if word not in WRAPPERS)


def check_digest(path: pathlib.Path, tensors: Mapping[str, Tensor], header: Mapping) -> None:
    """A look at whether tensors and texts of a safetensors file are those that were written.

    Args:
        path: of the file, for the message.
        tensors: name -> tensor.
        header: name -> text, one of them "digest": that of all others and the tensors.
    Raises:
        ValueError: they are not.
    """
    texts = [text for name, text in sorted(header.items()) if name != "digest"]
    if content_digest(tensors, *texts) != header["digest"]:
        raise ValueError(
            f"{path.name} is damaged: its content does not match the digest in its header. Copy it "
            "again, or get it again from where it came"
        )


def misfit(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Where two state dicts differ in names or shapes, in words.

    Args:
        state: name -> tensor, as it was read.
        own: name -> tensor, as it should be.
    Returns:
        The sentence, with up to five names of a kind; "" where `state` fits `own`.
    """
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    reshaped = []
    for name, value in own.items():
        if name in state and state[name].shape != value.shape:
            reshaped.append(f"{name} {tuple(state[name].shape)} for {tuple(value.shape)}")
    parts = []
    for title, names in (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", reshaped),
    ):
        if names:
            parts.append(f"{title}: {_some(names)}")
    return "; ".join(parts)


def _some(names):
    more = " ..." if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more} ({len(names)})"


# ---- which tensors of a file are the trunk's


def _find_part(path, content, own):
    """The one Part of a file that fits best; ValueError where it is not clear which is meant."""
    parts = [part for where, state in _states(content) for part in _parts(where, state, own)]
    if not parts:
        raise ValueError(
            f"{path.name} holds no plain dict of tensors but {_describe(content)}; save the "
            "trunk's state_dict() and nothing else: torch.save(trunk.state_dict(), PATH)"
        )
    whole = [part for part in parts if _is_whole(part, own)]
    best = max(whole or parts, key=lambda part: (part.fitting, part.named, -len(part.prefix)))
    if len(whole) < 2 or len({content_digest(_named(part, own)) for part in whole}) == 1:
        return best
    usual = [part for part in whole if part.usual]
    # The names as they are go before names with a prefix.
    direct = [part for part in usual if not part.where and not part.prefix]
    chosen = direct or usual
    titles = [part.title for part in whole]
    if len(chosen) != 1:
        raise ValueError(
            f"{path.name} holds several sets of weights that fit this trunk, and they differ: "
            f"{_some(titles)}. Save the one that is meant, alone: load the file with "
            "torch.load(PATH, weights_only=True), pick it out, and torch.save it"
        )
    others = [title for title in titles if title != chosen[0].title]
    say(f"{path.name}: took {chosen[0].title}; others would fit, too: {_some(others)}")
    return chosen[0]


def _is_whole(part, own):
    """Whether a part can fill the trunk, as far as names, shapes and kinds tell."""
    needed = [name for name in own if not _is_optional(name)]
    ordinary = all(_is_ordinary(value) for value in _named(part, own).values())
    return part.fitting == len(needed) and ordinary and not _foreign(part, own)


def _foreign(part, own):
    """Names in a stage of the trunk that are none of it: they speak of another architecture.

    What is beside the stages (fc, classifier, neck) does not.
    """
    stages = {name.split(".")[0] for name in own}
    names = part.own_names()
    return [name for name in names if name not in own and name.split(".")[0] in stages]


def _is_ordinary(value):
    """Whether a tensor has numbers of its own: dense, not quantized, not of the device "meta"."""
    return value.layout == torch.strided and not value.is_quantized and value.device.type == "cpu"


def _states(content):
    """(where, {name: tensor}) of every dict of tensors in a content, the outermost first."""
    todo = [((), content)]
    seen = set()
    while todo:
        where, thing = todo.pop(0)
        if id(thing) in seen or len(where) > DEEPEST:
            continue
        seen.add(id(thing))
        if isinstance(thing, Mapping):
            named = [(name, value) for name, value in thing.items() if isinstance(name, str)]
            tensors = {name: value for name, value in named if isinstance(value, Tensor)}
            if tensors:
                yield where, tensors
        elif isinstance(thing, (list, tuple)):
            named = [(str(number), value) for number, value in enumerate(thing)]
        else:
            continue
        todo += [((*where, name), value) for name, value in named if not isinstance(value, Tensor)]


def _parts(where, state, own):
    """A Part for every prefix under which a dict of tensors has names of the trunk."""
    fitting = {"": 0}
    named = {"": 0}
    for name, value in state.items():
        # after "" and after each "." or "/" of the name
        for start in [0, *(match.end() for match in re.finditer("[./]", name))]:
            if name[start:] not in own or _is_optional(name):
                continue
            prefix = name[:start]
            named[prefix] = named.get(prefix, 0) + 1
            same_shape = value.shape == own[name[start:]].shape
            fitting[prefix] = fitting.get(prefix, 0) + same_shape
    parts = [Part(where, prefix, state, fitting[prefix], named[prefix]) for prefix in named]
    # A wrapper inside ("layer1._orig_mod.0.conv1.weight"): the same without its words.
    plain = {plain_name(name): value for name, value in state.items()}
    if plain.keys() != state.keys() and len(plain) == len(state):
        best = max(part.fitting for part in parts)
        inner = [part for part in _parts(where, plain, own) if part.fitting > best]
        parts += [replace(part, inner=True) for part in inner]
    return parts


def _is_optional(name):
    """Whether it is the counter of batches, which old files do not have."""
    return name.endswith("num_batches_tracked")


def _named(part, own):
    """The tensors of a part that the trunk has, too."""
    return {name: value for name, value in part.own_names().items() if name in own}


def _describe(content):
    if isinstance(content, Mapping):
        entries = [f"{str(name)!r:.40} ({type(value).__name__})" for name, value in content.items()]
        return f"a dict with {_some(entries) if entries else 'nothing inside'}"
    return f"a {type(content).__name__}"


# ---- looks at them, and words


def _sort_out(path, part, own):
    """(the trunk's tensors, names that were left out); ValueError where they do not fit."""
    inside = part.own_names()
    expected = {}
    for name, value in own.items():
        if name in inside or not _is_optional(name):
            expected[name] = value
    state = {name: value for name, value in inside.items() if name in expected}
    foreign = _foreign(part, own)
    beside = [name for name in inside if name not in own and name not in foreign]
    outside = [name for name in part.state if not name.startswith(part.prefix)]
    if foreign or misfit(state, expected):
        shown = state | {name: inside[name] for name in foreign + beside}
        raise ValueError(
            f"{path.name} does not fit this trunk. {misfit(shown, expected)}. "
            f"{_remedy(inside, part, own)}"
        )
    return state, [part.prefix + name for name in beside] + outside


def _remedy(inside, part, own):
    inner = {name.partition(".")[2] for name in own if name.startswith("trunk.")}
    if inner and len(inner & inside.keys()) >= len(inner) / 2:
        return "The names are those of the model's trunk: give model.trunk in place of the model"
    prefix = f" (behind the prefix {part.prefix!r})" if part.prefix else ""
    fitting = _fitting_trunk(part.state)
    if fitting:
        return f"The file holds a {fitting!r}{prefix}: make_trunk({fitting!r}) makes its trunk"
    return f"Use the weights of the same architecture{prefix}"


def _fitting_trunk(state):
    """The name of the trunk that a state dict is for, "" for none of ours."""
    for name in NAMES:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes without numbers
            own = make_trunk(name).state_dict()
        if any(_is_whole(part, own) for part in _parts((), state, own)):
            return name
    return ""


def _check_numbers(path, state, own):
    """ValueError where tensors are no ordinary numbers of the trunk's kind."""
    converted = {}
    for name, value in state.items():
        kinds_differ = own[name].is_floating_point() and not value.is_floating_point()
        if not _is_ordinary(value) or kinds_differ or value.is_complex():
            raise ValueError(
                f"{path.name} holds {name} as {value.dtype} ({value.layout}, {value.device.type}); "
                f"expected numbers that fit {own[name].dtype}. Save the weights as dense float32"
            )
        converted[name] = value.detach().to(own[name].dtype)
    infinite = find_infinite(state) or find_infinite(converted)
    if infinite:
        raise ValueError(
            f"{path.name} cannot be used: {infinite}, or too large for the trunk's type. The "
            "training that made it diverged, or the file is damaged. Use an earlier checkpoint, or "
            "get the file again"
        )


def _say_what_was_done(path, part, state, left):
    if part.where:
        say(f"{path.name}: took the weights out of {' / '.join(map(repr, part.where))}")
    if part.prefix:
        say(f"{path.name}: took the prefix {part.prefix!r} off {len(state)} names")
    if part.inner:
        say(f"{path.name}: took the words of wrappers ({', '.join(WRAPPERS[:2])}) out of names")
    if left:
        layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in left))
        say(f"{path.name}: left out what is no part of the trunk: {_some(layers)}")
