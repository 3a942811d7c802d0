"""What tests share lies in tests/support: a module of tests is nobody's library."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


def imported(module: ast.Module) -> set[str]:
    named = {node.module for node in ast.walk(module) if isinstance(node, ast.ImportFrom) and node.module}
    return named | {alias.name for node in ast.walk(module) if isinstance(node, ast.Import) for alias in node.names}


def test_no_module_of_tests_imports_another() -> None:
    found = {
        f"{path.relative_to(TESTS)} imports {name}"
        for path in TESTS.rglob("*.py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("tests.") and not name.startswith("tests.support")
    }
    assert found == set()
