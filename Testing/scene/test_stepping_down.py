"""A graphics card that is out of memory, as a worker tells it."""

import pytest

from MedSAGaSlicerLib.scene.stepping_down import SteppingDown
from MedSAGaSlicerLib.worker.events import Failed, Ready

FULL = Failed(7, "memory", "CUDA out of memory")


class Client:
    def __init__(self):
        self.moves = []

    def use_device(self, device):
        self.moves.append(device)


def ready(device):
    return Ready(1, "starter", None, device, "e", 1, "0", 1.0)


@pytest.fixture
def client():
    return Client()


def test_the_worker_is_moved_once_and_what_failed_is_asked_again_when_it_is_there(client):
    stepping_down = SteppingDown(client)
    assert stepping_down.heed([ready("cuda")], 1) == ([], False)
    notices, moved = stepping_down.heed([FULL, FULL], 1)
    assert ([notice.kind for notice in notices], moved) == (["memory"], False)
    assert stepping_down.heed([FULL], 1) == ([], False)
    assert stepping_down.heed([ready("cpu")], 1) == ([], True)
    assert stepping_down.heed([FULL, ready("cpu")], 1) == ([], False)
    assert client.moves == ["cpu"]


def test_it_may_be_moved_again_when_the_person_has_chosen_the_card_again(client):
    stepping_down = SteppingDown(client)
    for _ in range(2):
        stepping_down.heed([ready("cuda"), FULL, ready("cpu")], 1)
    assert client.moves == ["cpu", "cpu"]


@pytest.mark.parametrize(
    "events",
    [
        [ready("cpu"), FULL],
        [FULL],
        [ready("cuda"), Failed(7, "input", "bad")],
        # Another model, for which the card is too small: the former one stays.
        [ready("cuda"), Failed(3, "memory", "CUDA out of memory")],
    ],
)
def test_otherwise_it_stays_where_it_is(client, events):
    assert SteppingDown(client).heed(events, 3) == ([], False)
    assert client.moves == []
