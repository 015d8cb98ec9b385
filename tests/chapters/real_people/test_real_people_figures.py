"""The chapter's picture of its study."""

from matplotlib import pyplot

from reidkit.chapters.real_people import figures


def test_the_study_picture_sorts_within_families(table):
    figure = figures.study_rows(table)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    from_top = list(reversed(labels))
    # 11 and 2 points up
    assert from_top[:3] == ["NETWORK", "normalisation: IN, BN last", "normalisation: IN"]
    assert set(from_top[3:5]) == {"stripes: 0", "stripes: 8"}
    assert from_top[5:] == ["TRAINING", "HOW MANY ARE DRAWN", "WORLD"]
    pyplot.close(figure)
