"""Ask `mesos-cni ports explain` many questions in a throwaway host, in one process of it."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from tests.netns.containers import ROOT
from tests.support.host import SEARCH_PATH, Host

Json = dict[str, Any]

_PROGRAM = """
import contextlib, io, json, sys
from mesos_cni_port_mapper.cli.program import run
answers = []
for arguments in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = run(["ports", "explain", "--json", *arguments])
    answers.append([status, said.getvalue()])
json.dump(answers, sys.stdout)
"""


def ask(host: Host, questions: Sequence[Sequence[str]]) -> list[Json]:
    """Return what is said to each question, which all must be answered."""
    environment = {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    done = host.run(
        [sys.executable, "-c", _PROGRAM],
        json.dumps(questions).encode(),
        {**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
    )
    answers = json.loads(done.stdout)
    assert [status for status, _ in answers] == [0] * len(questions), done.stderr
    return [json.loads(said) for _, said in answers]


def ask_one(host: Host, *question: str) -> Json:
    """Return what is said to one question."""
    return ask(host, [question])[0]


def codes(answer: Json) -> list[str]:
    """Return the reasons in an answer, by their codes."""
    return [reason["code"] for reason in answer["reasons"]]
