"""The documentation: every command, flag, path, link, number and error message in it exists."""

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest
from conftest import ROOT

from benchmarks.measure import pages, read_result, value_of
from senet_kp.cli import STAGES
from senet_kp.tfrecords import errors

PAGES = {page.relative_to(ROOT).as_posix(): page.read_text() for page in pages()}
PAGES["CONTRIBUTING.md"] = (ROOT / "CONTRIBUTING.md").read_text()
LINKED = PAGES | {
    name: (ROOT / name).read_text() for name in ("CHANGELOG.md", "export/pretrained/TERMS.md")
}
ALL = "\n".join(PAGES.values())
README_LINES = 150
WORKED_EXAMPLES = "docs/extending.md"  # tests/test_extending.py runs them
# Paths in examples, which are not part of the project.
EXAMPLES = ("out/", "data/", "landmarks/", "clip/", "img/", "photos/", "latest/", "best/", "dist/")
TARGET = re.compile(r"(?<![\w/-])(senet-kp [a-z-]+|python (?:-m )?[a-z_.]+)(?![\w/])")
SOURCES = [
    p
    for room in ("senet_kp", "data_prep", "tfrecords", "export")
    for p in (ROOT / room).rglob("*.py")
]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def command_lines() -> list[str]:
    """Commands in code blocks and in code spans, without comments, each once."""
    found = []
    for page, text in PAGES.items():
        for block in blocks(text, "sh") if page != WORKED_EXAMPLES else ():
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.split(" #")[0].strip() for line in lines]
        found += re.findall(r"`((?:make|senet-kp|(?:\.venv/bin/)?python) [^`\n]+)`", prose(text))
    return list(dict.fromkeys(filter(None, found)))


def recipe_lines() -> list[str]:
    """The commands by which the shipped graphs are made anew."""
    words = [
        "--dry-run",
        "-f",
        "export/pretrained/recipe.mk",
        "KP=senet-kp",
        "OUT=out",
        "SETS=data",
    ]
    plain = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(
        ["make", *words], cwd=ROOT, env=plain, capture_output=True, text=True, check=True
    )
    lines = made.stdout.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("senet-kp ")]


COMMANDS = command_lines()
RUN = [c for c in COMMANDS + recipe_lines() if (m := TARGET.search(c)) and "pytest" not in m[1]]


def main_of(target: str):
    """The function behind `senet-kp STAGE`, `python -m MODULE` or `python FILE`, and its argv."""
    program, *arguments = target.split()
    if program == "senet-kp":
        return import_module("senet_kp.cli").main, [program, *arguments]
    module = arguments[-1]
    if module.endswith(".py"):
        module = import_module(module.removesuffix(".py"))
    elif hasattr(import_module(module), "__path__"):
        module = import_module(f"{module}.__main__")
    else:
        module = import_module(module)
    return module.main, [target]


@cache
def help_of(target: str) -> str:
    """What a command prints for `--help`.

    Commands run in this process, so that TensorFlow is imported once and not by each of them.
    """
    main, argv = main_of(target)
    old, output = sys.argv, io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.argv = [*argv, "--help"]
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main()
    finally:
        sys.argv = old
    output.seek(0)
    return output.read()


def test_the_readme_is_one_page():
    assert PAGES["README.md"].count("\n") <= README_LINES


def test_make_targets_and_variables_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    variables = set(re.findall(r"^([A-Z]+) *\??:?=", makefile, re.M))
    makes = [command for command in COMMANDS if command.startswith("make ")]
    named = {target for c in makes for target in re.findall(r"make ([a-z-]+)", c)}
    assert len(named) > 10 and named <= targets
    spans = re.findall(r"`([A-Z]+)=[^`]*`", prose(ALL))
    used = {name for c in makes for name in re.findall(r"\b([A-Z]+)=", c)} | set(spans)
    assert len(used) > 5 and used <= variables


@pytest.mark.parametrize("command", RUN)
def test_commands_and_their_flags_exist(command):
    found = TARGET.search(command)
    target, ours = found[1], command[found.start() :].split(" -- ")[0]  # what follows is Beam's
    text = help_of(target)
    assert "usage:" in text.lower(), target
    for flag in re.findall(r"(?<=\s)(--[a-z][a-z.-]*)", ours):
        assert flag in text, f"{flag} of: {command}"


def test_every_stage_is_documented():
    documented = set(re.findall(r"\bsenet-kp ([a-z-]+)", ALL))
    assert documented == set(STAGES)


@pytest.mark.parametrize(
    "module",
    [
        "senet_kp.data_prep.prepare",
        "senet_kp.data_prep.sample_faces",
        "senet_kp.train.loop",
        "senet_kp.scoring.evaluate",
        "senet_kp.export.freeze",
        "senet_kp.export.convert",
        "senet_kp.input.preview",
        "senet_kp.report",
        "senet_kp.scoring.crossval",
    ],
)
def test_help_shows_every_default(module):
    text = help_of(f"python -m {module}")
    flags = re.findall(r"│ --", text)
    assert len(flags) == len(re.findall(r"\((?:default:|required|repeatable)", text)) > 3


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    pattern = r"`((?:[a-z_]+/)+[A-Za-z_0-9.-]*|[a-z_]+\.(?:py|toml|md))`"
    text = re.sub(r"Create `[^`]+`", "", PAGES[page])
    named = [path for path in re.findall(pattern, text) if not path.startswith(EXAMPLES)]
    assert not [path for path in named if not (ROOT / path).exists()]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", prose(text), re.M)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in words}


def links():
    """(page, target) of every link and picture that leads to a file of the project."""
    for page, text in LINKED.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
            if not target.startswith(("http://", "https://")):
                yield page, target


@pytest.mark.parametrize("page, target", list(links()))
def test_links_lead_somewhere(page, target):
    path, _, anchor = target.partition("#")
    file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
    assert file.exists()
    assert not anchor or anchor in anchors(file.read_text())


@pytest.mark.parametrize("named", re.findall(r"`(tests/\S+?\.py::\w+)`", PAGES["docs/systems.md"]))
def test_named_tests_exist(named):
    path, _, function = named.partition("::")
    assert f"\ndef {function}(" in (ROOT / path).read_text()


def test_every_step_of_a_system_has_a_command_and_a_test():
    systems = PAGES["docs/systems.md"].split("## Families of methods")[0]
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", systems, re.M)
    steps = [row for row in rows if row[0] != "step"]
    assert len(steps) > 25
    for step, command, tests in steps:
        assert command.count("`") == 2 and "`tests/" in tests, step


def test_every_page_is_linked_from_the_readme():
    reached = {target.partition("#")[0] for page, target in links() if page == "README.md"}
    assert {name for name in PAGES if name.startswith("docs/")} <= reached


@pytest.mark.parametrize("page", [name for name in PAGES if name.startswith("docs/")])
def test_pages_begin_with_their_purpose_and_end_with_links(page):
    title, blank, purpose, *rest = PAGES[page].splitlines()
    assert title.startswith("# ") and not blank and purpose.startswith("This page ")
    assert "\n---\nNext: [" in "\n".join(rest[-6:])


def numbers():
    """(page, file, key, shown) of every number taken from benchmarks/results/."""
    pattern = r"<!-- ([a-z0-9_-]+):([A-Za-z0-9_.-]+) -->([0-9.,]*[0-9](?: ?%)?)"
    for page, text in PAGES.items():
        for found in re.findall(pattern, prose(text)):
            yield page, *found


@pytest.mark.parametrize("page, file, key, shown", list(numbers()))
def test_numbers_are_those_that_a_command_wrote(page, file, key, shown):
    number = shown.rstrip(" %").replace(",", "")
    decimals = len(number.partition(".")[2])
    value = value_of(read_result(file), key) * (100 if "%" in shown else 1)
    assert f"{value:.{decimals}f}" == number


def test_pages_take_their_numbers_from_results():
    assert len(list(numbers())) >= 40
    rows = read_result("inference")["rows"]  # which the README names by their position
    assert [(rows[i]["file"], rows[i]["engine"]) for i in (0, 7)] == [
        ("senet68.pb", "opencv"),
        ("dlib68.dat", "dlib"),
    ]


@cache
def strings() -> list[str]:
    """Every text in the code; what is filled in at run time is a null character."""
    found = [(ROOT / "Makefile").read_text()]
    found += [p.read_text() for p in (ROOT / "examples/cpp").iterdir() if p.is_file()]
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", "\0") for part in node.values)
                found.append("".join(p if isinstance(p, str) else "\0" for p in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def quoted_messages():
    """Messages in the page on troubleshooting, apart from those of other software."""
    lines = "".join(blocks(PAGES["docs/troubleshooting.md"], "text")).splitlines()
    return [line.removeprefix("error: ") for line in lines if not line.startswith("Attribute")]


@pytest.mark.parametrize("message", quoted_messages())
def test_quoted_messages_are_in_the_code(message):
    parts = [part for part in message.lstrip(".:; ").split("...") if re.search(r"\w", part)]
    pattern = re.compile(".*".join(map(re.escape, parts)))
    assert any(pattern.search(text) for text in strings())


def test_troubleshooting_covers_the_first_errors():
    assert len(quoted_messages()) >= 20


def test_every_reject_reason_has_a_remedy():
    code = "\n".join(p.read_text() for p in SOURCES)
    raised = set(re.findall(r'(?:Rejected\(|BadPicture\(\w+,)\s*"([a-z-]+)"', code))
    table = PAGES["docs/errors.md"].split("## Reject reasons")[1]
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.M)) | {"no-file"}
    assert len(raised) > 10 and raised <= documented
    assert not [reason for reason in documented if f'"{reason}"' not in code]


def test_every_exit_code_has_a_meaning():
    documented = set(map(int, re.findall(r"^\| (\d+) \|", PAGES["docs/errors.md"], re.M)))
    kinds = (errors.UserError, *errors.UserError.__subclasses__())
    codes = {0, errors.INTERRUPTED, errors.PIPE_CLOSED}
    assert documented == {*codes, *(kind.exit_code for kind in kinds)}


# tests/test_api.py and tests/test_extending.py run those of the other two pages.
PYTHON = [name for name, text in PAGES.items() if blocks(text, "python")]
PYTHON = [name for name in PYTHON if name not in ("docs/api.md", WORKED_EXAMPLES)]


@pytest.mark.parametrize("page", PYTHON)
def test_python_examples_run(page, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for code in blocks(PAGES[page], "python"):
        exec(code.replace('"photo.jpg"', '"docs/pictures/landmarks.jpg"'), {})
    assert "[" in capsys.readouterr().out
