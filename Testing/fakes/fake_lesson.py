"""A lesson without a network, for teaching workers in tests: steps that do nothing, on command.

Give the client ``lesson="fake_lesson:give"``. It takes its cues from the lesson's examples folder:

- ``crash``: before the step named there the process kills itself, once, or each time if "always"
  stands behind the number;
- ``fail``: it raises what is named there, "disk", "memory", "input" or anything else;
- ``deaf``: it makes ``deafened`` and does not come back, as in an encode of minutes;
- ``slow``: steps take a moment, so that there is time to do something to it.

Its state is a number in ``work/state``, written every ``config.save_every`` steps and at a stop.
"""

import json
import os
import signal
import time
from pathlib import Path

from MedSAGaSlicerLib.engine.teaching.adapter_folder import FORMAT, MODEL_FILE
from MedSAGaSlicerLib.engine.teaching.events import Finished, Progress, Saved, Started, Stopped
from MedSAGaSlicerLib.errors import InputError

ERRORS = {"disk": OSError(28, "No space left"), "memory": MemoryError(), "input": InputError("bad")}


def give(order, stop):
    print("a print that must not reach the protocol")
    cues, work, config = Path(order["examples"]), Path(order["work"]), order["config"]
    state = work / "state"
    done = int(state.read_text()) if state.exists() else 0
    if (cues / "fail").exists():
        name = (cues / "fail").read_text()
        raise ERRORS.get(name, RuntimeError(name))
    yield Started("0", "decoder", "cpu", config["steps"], done, 10, 2, ("a", "b"))
    for step in range(done + 1, config["steps"] + 1):
        _obey(cues, step)
        yield Progress(step, config["steps"], 1.0 / step, 0.5, 0.0)
        if step % config["save_every"] == 0:
            yield Saved(_save(state, step), step)
        if stop():
            _save(state, step)
            yield Stopped(step, resumable=True)
            return
    output = Path(order["output"])
    leave_adapter(output)
    yield Finished(output, True, {"steps": config["steps"], "title": order["title"]})


def leave_adapter(folder, accepted=True, segments=("tumour",)):
    """A folder that can be described, without weights that could be loaded."""
    folder.mkdir(parents=True)
    description = {
        "format": FORMAT,
        "version": "0",
        "name": "mine",
        "created": "2026-01-01T00:00:00+00:00",
        "method": "decoder",
        "base": "starter",
        "family": "starter",
        "base_fingerprint": "b",
        "encoder_fingerprint": "e",
        "segments": list(segments),
        "cases": [],
        "held_out": [["volume 1", "k", 5]],
        "accepted": accepted,
        "before": 0.5,
        "after": 0.7,
        "config": {},
    }
    (folder / MODEL_FILE).write_text(json.dumps(description))


def _obey(cues, step):
    crash = cues / "crash"
    if crash.exists():
        at, _, often = crash.read_text().partition(" ")
        if int(at) == step:
            if often != "always":
                crash.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    if (cues / "deaf").exists():
        (cues / "deafened").touch()
        time.sleep(1000)
    if (cues / "slow").exists():
        time.sleep(0.01)


def _save(state, step):
    state.parent.mkdir(exist_ok=True)
    state.write_text(str(step))
    return state
