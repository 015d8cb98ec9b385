"""Chapters with other code in their stubs, for tests of Run All."""

import ast

from reidkit.teach import source


def with_stubs(chapter, answers):
    """The notebook with other code in its stubs, checks kept: a dict exercise -> code, or for every exercise "raise" (what the
    stub defines raises) or "wrong" (it gives 0.5). For tests of Run All; nothing else of the chapter changes."""
    if not isinstance(answers, dict):
        answers = {
            name: _spoilt(chapter.cell(f"{name}-stub").source, answers)
            for name in chapter.exercises
        }
    made = source.notebook(chapter)
    for cell in made.cells:
        if "stub" in source.tags(cell) and cell.id[:-5] in answers:
            cell.source = answers[cell.id[:-5]].rstrip() + "\n\n" + source.check_lines(cell.source)
    return made


def _spoilt(stub, how):
    body = {"raise": "raise RuntimeError('planted')", "wrong": "return 0.5"}[how]

    class Spoil(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            node.body = ast.parse(body).body
            return node

        def visit_Assign(self, node):
            node.value = ast.Constant("planted")
            return node

    kept = [node for node in ast.parse(stub).body if not source.calls_check(node)]
    return ast.unparse(Spoil().visit(ast.Module(body=kept, type_ignores=[])))
