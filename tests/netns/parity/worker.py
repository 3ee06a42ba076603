"""Run cases inside a throwaway host, each in fresh namespaces, and tell all that is seen.

One process serves a whole case: it reads runs as one JSON document on stdin and answers with one
record a run on stdout, which `tests.netns.parity.observation` makes comparable. Started with
``python -I -S``, so only the standard library and this project are here.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.netns.parity.machine import PATH, SHELL, Machine

# Waits of a plugin (for a port to come up, for duplicate addresses) overlap with others' work.
PARALLEL = 3


def _call(run: Mapping[str, Any], step: Mapping[str, Any], results: dict[str, Any]) -> Any:
    env = {"PATH": PATH} | step["env"]
    stdin = step["stdin"]
    if step["previous"] in results:
        stdin = json.dumps(json.loads(stdin) | {"prevResult": results[step["previous"]]})
    finished = subprocess.run(
        [f"{run['plugins']}/{step['type']}"],
        input=stdin.encode("latin-1"),
        env=env,
        cwd="/",
        capture_output=True,
        timeout=60,
        check=False,
    )
    output = finished.stdout.decode(errors="replace")
    if env.get("CNI_COMMAND") == "ADD" and finished.returncode == 0:
        results[step["keep"]] = json.loads(output)
    return {"status": finished.returncode, "output": output, "words": finished.stderr.decode()}


def _shell(step: Mapping[str, Any]) -> Any:
    finished = subprocess.run(
        ["sh", "-ec", step["script"]], env=SHELL, capture_output=True, text=True, check=False
    )
    if finished.returncode != 0 and not step["show"]:
        raise ChildProcessError(step["script"] + finished.stderr)
    return {"shown": finished.stdout if step["show"] else ""}


def perform(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Do the steps of one run in namespaces of its own; a record each, the state included."""
    machine = Machine(run)
    results: dict[str, Any] = {}
    # Any change from here on is told; the first record is what there was before.
    records = [{"state": machine.observe(anyway=True)}] if run["baseline"] else []
    for step in run["steps"]:
        record: dict[str, Any] = {}
        kind = step["kind"]
        if kind == "call":
            record = _call(run, step, results)
        elif kind == "shell":
            record = machine.inside(step["place"], functools.partial(_shell, step))
        elif kind == "probe":
            record = {"shown": machine.probe(step["place"], step["address"])}
        else:
            machine.forget(step["place"])
        record["state"] = machine.observe()
        records.append(record)
    return records


def _begin(run: Mapping[str, Any]) -> tuple[int, int]:
    answer = os.memfd_create("run")
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(answer, json.dumps(perform(run)).encode())
            status = 0
        except BaseException:  # noqa: BLE001 - a child must never return into the loop
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid, answer


def main() -> None:
    """Do all runs, some at a time, and write their records in the order they came in."""
    runs = json.load(sys.stdin)
    answers: list[int] = []
    busy: set[int] = set()
    failed = False
    for run in runs:
        if len(busy) == PARALLEL:
            pid, status = os.wait()
            busy.remove(pid)
            failed |= status != 0
        pid, answer = _begin(run)
        busy.add(pid)
        answers.append(answer)
    for _ in busy:
        failed |= os.wait()[1] != 0
    if failed:
        sys.exit("a run ended early; its traceback is above")
    texts = [os.pread(answer, os.fstat(answer).st_size, 0).decode() for answer in answers]
    sys.stdout.write("[" + ",".join(texts) + "]")
