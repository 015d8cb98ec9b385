"""A notebook's shell as far as checks and builds ask it, for tests without a kernel."""

import IPython


class Shell:
    """Cells run one after the other in a namespace of their own."""

    def __init__(self):
        self.user_ns = {"__name__": "__main__"}
        self.history_manager = self
        self.input_hist_raw = [""]

    def run(self, cell):
        """Run a cell, magics left out, as IPython would after it has noted its text."""
        self.input_hist_raw.append(cell)
        lines = [line for line in cell.splitlines() if not line.lstrip().startswith(("%", "!"))]
        code = compile("\n".join(lines), f"<cell {len(self.input_hist_raw)}>", "exec")
        exec(code, self.user_ns)


def put(monkeypatch):
    """Let IPython have this shell; output is printed as in a plain process."""
    from reidkit.teach import display

    shell = Shell()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    monkeypatch.setattr(display, "in_a_notebook", lambda: False)
    return shell
