from tests.house.tree import PACKAGES, functions, modules

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
EVERYWHERE = (*PACKAGES, "tests", "tools")
# A migration is one list of tables, read from top to bottom once.
LISTS = "controller/store/migrations/versions/"


def test_no_file_grows_past_what_one_idea_needs() -> None:
    lines = {str(m.path): len(m.source.splitlines()) for m in modules(*EVERYWHERE)}
    assert {path: n for path, n in lines.items() if n > FILE_LINES_MAX} == {}


def test_no_function_needs_scrolling() -> None:
    """Bodies count: the signature of a command line is its table of options."""
    long = {
        f"{module.path}:{function.lineno} {function.name}": length
        for module in modules(*EVERYWHERE)
        for function in functions(module)
        if not module.path.is_relative_to(LISTS)
        if (length := (function.end_lineno or 0) - function.body[0].lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}
