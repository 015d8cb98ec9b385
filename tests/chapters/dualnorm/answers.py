"""Wrong answers to the exercises of chapter 03, with a word of the verdict that each must earn."""

# ---- 3.1: a norm behind the sum

BLOCK = """
def f(block, norm, x):
    s = x if block.downsample is None else block.downsample(x)
    y = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    return {result}
"""

RELU_FORGOTTEN = """
def f(block, norm, x):
    s = x if block.downsample is None else block.downsample(x)
    return norm(block.bn2(block.conv2(block.bn1(block.conv1(x)))) + s).relu()
"""


def block(result):
    """An answer that returns this, made of the branch y and the shortcut s."""
    return BLOCK.format(result=result)


# ---- 3.2: paired by seed

PAIRED = """
def f(one, other):
    from statistics import mean, stdev, pstdev
    d = [one[s] - other[s] for s in one if s in other]
    n = len(d)
    t = {{2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}}[n]
    return {result}
"""

BY_PLACE = """
def f(one, other):
    from statistics import mean, stdev
    d = [a - b for a, b in zip(one.values(), other.values())]
    return mean(d), 3.182 * stdev(d) / 2
"""

BY_PLACE_OF_PARTNERS = """
def f(one, other):
    from statistics import mean, stdev
    a = [one[s] for s in one if s in other]
    b = [other[s] for s in other if s in one]
    d = [x - y for x, y in zip(a, b)]
    return mean(d), {2: 12.706, 4: 3.182}[len(d)] * stdev(d) / len(d) ** 0.5
"""

MEANS_OF_ALL = """
def f(one, other):
    from statistics import mean, stdev
    return mean(one.values()) - mean(other.values()), 1.0
"""

UNPAIRED = """
def f(one, other):
    from statistics import mean, stdev
    d = [one[s] - other[s] for s in one if s in other]
    n = len(d)
    t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}[n]
    a = [one[s] for s in one]
    b = [other[s] for s in one]
    return mean(d), t * ((stdev(a) ** 2 + stdev(b) ** 2) / n) ** 0.5
"""


def paired(result):
    """An answer that returns this, made of the differences d, their number n and t."""
    return PAIRED.format(result=result)


# ---- 3.3: the norm that nobody called

ASSIGNED_ONLY = """
def f(trunk):
    for s in (trunk.layer1, trunk.layer2, trunk.layer3):
        s[-1].IN = torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True)
    return trunk
"""

LAST_STAGE_TOO = """
def f(trunk):
    for s in (trunk.layer2, trunk.layer3, trunk.layer4):
        s.append(torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True))
    return trunk
"""

BEHIND_THE_BLOCK = """
def f(trunk):
    for s in (trunk.layer1, trunk.layer2, trunk.layer3):
        s.append(torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True))
    return trunk
"""

EVERY_BLOCK = """
def f(trunk):
    from reidkit.layers.residual import NormedSum
    for s in (trunk.layer1, trunk.layer2, trunk.layer3):
        for i in range(len(s)):
            s[i] = NormedSum(s[i])
    return trunk
"""

BATCH_NORM_REPLACED = """
def f(trunk):
    for s in (trunk.layer1, trunk.layer2, trunk.layer3):
        s[-1].bn2 = torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True)
    return trunk
"""

BEHIND_THE_BRANCH = """
def f(trunk):
    for s in (trunk.layer1, trunk.layer2, trunk.layer3):
        norm = torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True)
        s[-1].bn2 = torch.nn.Sequential(s[-1].bn2, norm)
    return trunk
"""

WRONG = {
    "03-normed-sum": [
        ("def f(block, norm, x): return block(x)", "not used"),
        ("def f(block, norm, x): return norm(block(x))", "behind the last ReLU"),
        (block("(norm(y) + s).relu()"), "branch alone"),
        (block("(norm(y) + norm(s)).relu()"), "each"),
        (block("norm(y + s)"), "negative values"),
        (block("norm(y).relu()"), "shortcut is missing"),
        (RELU_FORGOTTEN, "between the two convolutions"),
        (block("norm(y + s).relu().mean((2, 3))"), "shape"),
        (block("norm(y + 2 * s).relu()"), "numbers wrong"),
    ],
    "03-paired": [
        (paired("-mean(d), t * stdev(d) / n ** 0.5"), "sign"),
        (BY_PLACE, "by seed"),
        (BY_PLACE_OF_PARTNERS, "by luck"),
        (MEANS_OF_ALL, "no partner"),
        (paired("mean(d), t * pstdev(d) / n ** 0.5"), "statistics.stdev"),
        (paired("mean(d), 1.96 * stdev(d) / n ** 0.5"), "1.96"),
        (paired("mean(d), t * stdev(d)"), "root of n"),
        (paired("mean(d), t * stdev(d) / n"), "not by n"),
        (paired("mean(d), 2.776 * stdev(d) / n ** 0.5"), "number of seeds"),
        (UNPAIRED, "unpaired"),
        (paired("mean(d)"), "two numbers"),
        (paired("torch.tensor(mean(d)), t * stdev(d) / n ** 0.5"), "Python numbers"),
    ],
    "03-unused": [
        (ASSIGNED_ONLY, "no picture passes"),
        (LAST_STAGE_TOO, "layer4"),
        (BEHIND_THE_BLOCK, "behind a ReLU"),
        (EVERY_BLOCK, "has 2"),
        (BATCH_NORM_REPLACED, "batch norms are gone"),
        (BEHIND_THE_BRANCH, "the result is another"),
        ("def f(trunk): return trunk", "no instance norm"),
        ("def f(trunk): return [trunk]", "return the trunk"),
    ],
}
