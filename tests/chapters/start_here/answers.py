"""Wrong answers to the exercises of this chapter, each with a word of the verdict that it must get."""

WRONG = {  # exercise -> [(answer, a word of the verdict)]
    "00-same-person": [
        ("def same_person(ids): return (ids[:, None] == ids[None]).float()", "booleans"),
        ("def same_person(ids): return ids == ids", "shape"),
        (
            "def same_person(ids): return (ids[:, None] == ids[None]) & ~torch.eye(len(ids), dtype=torch.bool)",
            "diagonal",
        ),
        ("def same_person(ids): return torch.eye(len(ids), dtype=torch.bool)", "person 3"),
    ],
    "00-cross-camera-pairs": [
        (
            "def f(ids, cameras): return ((ids[:, None] == ids[None]) & (cameras[:, None] != cameras[None])).sum().item()",
            "halve",
        ),
        (
            "def f(ids, cameras): return ((ids[:, None] == ids[None]).sum().item() - len(ids)) // 2",
            "two cameras",
        ),
        ("def f(ids, cameras): return torch.tensor(3)", "Python int"),
        ("def f(ids, cameras): return 3", "no pair"),
        (
            "def f(ids, cameras): return ((ids[:, None] == ids[None]) & (cameras[:, None] != cameras[None])).sum().item() / 2",
            "float",
        ),
    ],
}
