"""Chapters with other code in their stubs, for tests of Run All."""

import ast

from reidkit.teach import source


def with_stubs(chapter, answers):
    """The notebook with other code in its stubs; their checks, and all the rest, stay.

    For tests of Run All.

    Args:
        answers: a dict exercise -> code, or for every exercise "raise" (what the stub defines
            raises) or "wrong" (it gives 0.5).
    """
    if not isinstance(answers, dict):
        how = answers
        stubs = {name: chapter.cell(f"{name}-stub").source for name in chapter.exercises}
        answers = {name: _spoilt(stub, how) for name, stub in stubs.items()}
    notebook = source.notebook(chapter)
    for cell in notebook.cells:
        exercise = cell.id.removesuffix("-stub")
        if "stub" in source.tags(cell) and exercise in answers:
            code = answers[exercise].rstrip()
            cell.source = f"{code}\n\n{source.check_lines(cell.source)}"
    return notebook


def _spoilt(stub, how):
    body = {"raise": "raise RuntimeError('planted')", "wrong": "return 0.5"}[how]

    class Spoil(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            node.body = ast.parse(body).body
            return node

        def visit_Assign(self, node):
            node.value = ast.Constant("planted")
            return node

    nodes = [node for node in ast.parse(stub).body if not source.calls_check(node)]
    return ast.unparse(Spoil().visit(ast.Module(body=nodes, type_ignores=[])))
