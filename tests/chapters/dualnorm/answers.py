"""Wrong answers to the exercises of chapter 03, with a word of the verdict that each must earn."""

BRANCH = "    s = x if block.downsample is None else block.downsample(x)\n    y = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))\n"
DIFFERENCES = (
    "    from statistics import mean, stdev, pstdev\n    d = [one[s] - other[s] for s in one if s in other]\n    n = len(d)\n"
    "    t = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}[n]\n"
)

WRONG = {
    "03-normed-sum": [
        ("def f(block, norm, x): return block(x)", "not used"),
        ("def f(block, norm, x): return norm(block(x))", "behind the last ReLU"),
        (f"def f(block, norm, x):\n{BRANCH}    return (norm(y) + s).relu()", "branch alone"),
        (f"def f(block, norm, x):\n{BRANCH}    return (norm(y) + norm(s)).relu()", "each"),
        (f"def f(block, norm, x):\n{BRANCH}    return norm(y + s)", "negative values"),
        (f"def f(block, norm, x):\n{BRANCH}    return norm(y).relu()", "shortcut is missing"),
        (
            "def f(block, norm, x):\n    s = x if block.downsample is None else block.downsample(x)\n"
            "    return norm(block.bn2(block.conv2(block.bn1(block.conv1(x)))) + s).relu()",
            "between the two convolutions",
        ),
        (f"def f(block, norm, x):\n{BRANCH}    return norm(y + s).relu().mean((2, 3))", "shape"),
        (f"def f(block, norm, x):\n{BRANCH}    return norm(y + 2 * s).relu()", "numbers wrong"),
    ],
    "03-paired": [
        (f"def f(one, other):\n{DIFFERENCES}    return -mean(d), t * stdev(d) / n ** 0.5", "sign"),
        (
            "def f(one, other):\n    from statistics import mean, stdev\n    d = [a - b for a, b in zip(one.values(), other.values())]\n"
            "    return mean(d), 3.182 * stdev(d) / 2",
            "by seed",
        ),
        (
            "def f(one, other):\n    from statistics import mean, stdev\n    d = [a - b for a, b in zip([one[s] for s in one if s in other], [other[s] for s in other if s in one])]\n"
            "    return mean(d), {2: 12.706, 4: 3.182}[len(d)] * stdev(d) / len(d) ** 0.5",
            "by luck",
        ),
        (
            "def f(one, other):\n    from statistics import mean, stdev\n    return mean(one.values()) - mean(other.values()), 1.0",
            "no partner",
        ),
        (
            f"def f(one, other):\n{DIFFERENCES}    return mean(d), t * pstdev(d) / n ** 0.5",
            "statistics.stdev",
        ),
        (
            f"def f(one, other):\n{DIFFERENCES}    return mean(d), 1.96 * stdev(d) / n ** 0.5",
            "1.96",
        ),
        (f"def f(one, other):\n{DIFFERENCES}    return mean(d), t * stdev(d)", "root of n"),
        (f"def f(one, other):\n{DIFFERENCES}    return mean(d), t * stdev(d) / n", "not by n"),
        (
            f"def f(one, other):\n{DIFFERENCES}    return mean(d), 2.776 * stdev(d) / n ** 0.5",
            "number of seeds",
        ),
        (
            f"def f(one, other):\n{DIFFERENCES}    a, b = [one[s] for s in one], [other[s] for s in one]\n"
            "    return mean(d), t * ((stdev(a) ** 2 + stdev(b) ** 2) / n) ** 0.5",
            "unpaired",
        ),
        (f"def f(one, other):\n{DIFFERENCES}    return mean(d)", "two numbers"),
        (
            f"def f(one, other):\n{DIFFERENCES}    return torch.tensor(mean(d)), t * stdev(d) / n ** 0.5",
            "Python numbers",
        ),
    ],
    "03-unused": [
        (
            "def f(trunk):\n    for s in (trunk.layer1, trunk.layer2, trunk.layer3):\n        s[-1].IN = torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True)\n"
            "    return trunk",
            "no picture passes",
        ),
        (
            "def f(trunk):\n    for s in (trunk.layer2, trunk.layer3, trunk.layer4):\n        s.append(torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True))\n"
            "    return trunk",
            "layer4",
        ),
        (
            "def f(trunk):\n    for s in (trunk.layer1, trunk.layer2, trunk.layer3):\n        s.append(torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True))\n"
            "    return trunk",
            "behind a ReLU",
        ),
        (
            "def f(trunk):\n    from reidkit.layers.residual import NormedSum\n    for s in (trunk.layer1, trunk.layer2, trunk.layer3):\n"
            "        for i in range(len(s)):\n            s[i] = NormedSum(s[i])\n    return trunk",
            "has 2",
        ),
        (
            "def f(trunk):\n    for s in (trunk.layer1, trunk.layer2, trunk.layer3):\n        s[-1].bn2 = torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True)\n"
            "    return trunk",
            "batch norms are gone",
        ),
        (
            "def f(trunk):\n    for s in (trunk.layer1, trunk.layer2, trunk.layer3):\n"
            "        s[-1].bn2 = torch.nn.Sequential(s[-1].bn2, torch.nn.InstanceNorm2d(s[-1].conv2.out_channels, affine=True))\n    return trunk",
            "the result is another",
        ),
        ("def f(trunk): return trunk", "no instance norm"),
        ("def f(trunk): return [trunk]", "return the trunk"),
    ],
}
