"""Wrong answers to this chapter's exercises, each with a word of the verdict that it must get."""

SAME_PERSON = [
    (
        """
def same_person(ids):
    return (ids[:, None] == ids[None]).float()
""",
        "booleans",
    ),
    (
        """
def same_person(ids):
    return ids == ids
""",
        "shape",
    ),
    (
        """
def same_person(ids):
    other = ~torch.eye(len(ids), dtype=torch.bool)
    return (ids[:, None] == ids[None]) & other
""",
        "diagonal",
    ),
    (
        """
def same_person(ids):
    return torch.eye(len(ids), dtype=torch.bool)
""",
        "person 3",
    ),
]

CROSS_CAMERA_PAIRS = [
    (
        """
def f(ids, cameras):
    same_id = ids[:, None] == ids[None]
    other_camera = cameras[:, None] != cameras[None]
    return (same_id & other_camera).sum().item()
""",
        "halve",
    ),
    (
        """
def f(ids, cameras):
    same_id = ids[:, None] == ids[None]
    return (same_id.sum().item() - len(ids)) // 2
""",
        "two cameras",
    ),
    (
        """
def f(ids, cameras):
    return torch.tensor(3)
""",
        "Python int",
    ),
    (
        """
def f(ids, cameras):
    return 3
""",
        "no pair",
    ),
    (
        """
def f(ids, cameras):
    same_id = ids[:, None] == ids[None]
    other_camera = cameras[:, None] != cameras[None]
    return (same_id & other_camera).sum().item() / 2
""",
        "float",
    ),
]

# Exercise -> its wrong answers, each (code, a word of the verdict).
WRONG = {"00-same-person": SAME_PERSON, "00-cross-camera-pairs": CROSS_CAMERA_PAIRS}
