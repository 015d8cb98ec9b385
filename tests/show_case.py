"""What a notebook would show, and a recorded table of two norms and three seeds."""

CLAIM, RECORD = "application/x-reidkit-claim+json", "application/x-reidkit-record+json"


def watch(monkeypatch):
    """A list that fills with every output that a notebook would get."""
    import IPython
    import IPython.display

    outputs = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(
        IPython.display, "display", lambda data, raw=False, metadata=None: outputs.append(data)
    )
    return outputs


def make_results(tmp_path, monkeypatch):
    """The folder of a recorded table, in a project of its own."""
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    folder = tmp_path / "data" / "results"
    folder.mkdir(parents=True)
    about = "2 x CPU,3.11.7,2.13.0,abc1234567,2026-01-0"
    rows = [
        f"{seed},{norm},{score},ok,{about}{seed + 1}"
        for norm, scores in (("bn", (10, 12, 14)), ("in", (20, 20, 26)))
        for seed, score in enumerate(scores)
    ]
    (folder / "table.csv").write_text(
        "\n".join(
            [
                "SEED,NORM,score,status,device,python,torch,commit,date",
                *rows,
                f"9,bn,,failed,{about}9",
            ]
        )
        + "\n"
    )
    return folder
