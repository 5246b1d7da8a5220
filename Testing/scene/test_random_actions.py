"""Whatever a person does in whatever order: nothing of theirs is lost, and undo leads back.

A quick run by default; MEDSAGA_RANDOM_SEEDS=20 MEDSAGA_RANDOM_ACTIONS=1000 is the thorough one.
"""

import os
from collections import Counter

import pytest
from harness.person import Person

SEEDS = int(os.environ.get("MEDSAGA_RANDOM_SEEDS", "2"))
ACTIONS = int(os.environ.get("MEDSAGA_RANDOM_ACTIONS", "250"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_actions_lose_nothing_and_can_all_be_undone(
    application, volume, segmentation, tmp_path, seed
):
    person = Person(application, volume, segmentation, seed, tmp_path)
    try:
        for _ in range(ACTIONS):
            person.act()
        person.undo_everything()
    except Exception as error:
        steps = "\n".join(f"{n}: {words}" for n, words in enumerate(person.log))
        msg = f"seed {seed}, {type(error).__name__}: {error}\n{steps}"
        raise AssertionError(msg) from error
    counted = Counter(words[0] for words in person.log)
    assert counted["click"] > ACTIONS / 20
