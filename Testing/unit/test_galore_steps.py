import importlib.util

import pytest
import torch
from small_net import ALL, Net, galore, images, parameters
from torch import nn

from MedSAGaSlicerLib.engine.teaching.galore import GaloreOptimizer, GaloreSettings
from MedSAGaSlicerLib.engine.teaching.galore_package import galore_projector
from MedSAGaSlicerLib.engine.teaching.projector import matrix_shape
from MedSAGaSlicerLib.errors import InputError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("galore_torch") is None, reason="galore-torch is not installed"
)


def gather(net: Net, seed: int) -> None:
    """The gradients of one backward pass."""
    (net(images(seed)) ** 2).mean().backward()


def train(net: Net, optimizer: GaloreOptimizer, steps: range) -> None:
    for step in steps:
        gather(net, step)
        optimizer.step(1.0)


def test_at_full_rank_it_is_adamw() -> None:
    ours, theirs = Net(), Net()
    settings = GaloreSettings(rank=24, every=2, rate=1e-2, decay=0.01, fewest=ALL)
    with pytest.MonkeyPatch.context() as patch:
        # Matrices at full rank are left to AdamW otherwise: nothing would be saved.
        patch.setattr(
            "MedSAGaSlicerLib.engine.teaching.galore.is_projected",
            lambda shape, *_: len(shape) > 1,
        )
        optimizer = GaloreOptimizer(parameters(ours), settings)
    groups = [
        {"params": [p], "weight_decay": 0.01 if p.ndim > 1 else 0.0} for p in theirs.parameters()
    ]
    reference = torch.optim.AdamW(groups, lr=5e-3, eps=1e-8)
    for step in range(12):
        gather(ours, step)
        optimizer.step(0.5)
        gather(theirs, step)
        reference.step()
        reference.zero_grad()
    for name, parameter in ours.named_parameters():
        expected = parameters(theirs)[name]
        torch.testing.assert_close(parameter, expected, atol=1e-6, rtol=0)


def test_the_state_is_as_large_as_the_formula_says() -> None:
    net, rank = Net(), 4
    optimizer = galore(net, rank)
    train(net, optimizer, range(2))
    matrices = [matrix_shape(p.shape) for p in net.parameters() if p.ndim > 1]
    formula = sum(rank * min(shape) + 2 * rank * max(shape) for shape in matrices)
    formula += sum(2 * p.numel() for p in net.parameters() if p.ndim == 1)
    state = optimizer.state()
    steps = sum(tensor.nbytes for name, tensor in state.items() if name.startswith("step."))
    assert sum(tensor.nbytes for tensor in state.values()) - steps == 4 * formula
    facts = optimizer.facts()
    assert facts["state_bytes"] == 4 * formula
    assert facts["adamw_state_bytes"] == 8 * sum(p.numel() for p in net.parameters())
    assert facts["compression"] == facts["adamw_state_bytes"] / facts["state_bytes"]
    assert (facts["rank"], facts["projected"], facts["parameters"]) == (4, 4, 7)


def test_whole_gradients_never_exist_side_by_side() -> None:
    net = Net()
    optimizer = galore(net)
    seen: list[int] = []

    def count(_: nn.Parameter) -> None:
        seen.append(sum(p.grad is not None for p in net.parameters() if p.ndim > 1))

    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(count)
    gather(net, 0)
    assert max(seen) == 0
    assert sum(g.numel() for g in optimizer.gradients()) < sum(p.numel() for p in net.parameters())


def test_gradients_gathered_in_parts_are_those_gathered_at_once() -> None:
    whole, parts = Net(), Net()
    one, other = galore(whole, every=10), galore(parts, every=10)
    for net, optimizer in ((whole, one), (parts, other)):
        train(net, optimizer, range(1))
    gather(whole, 1)
    for picture in images(1):
        ((parts(picture[None]) ** 2).mean() / 2).backward()
    for a, b in zip(one.gradients(), other.gradients(), strict=True):
        torch.testing.assert_close(a, b)


class TestBadGradients:
    @pytest.mark.parametrize("bad", [float("inf"), float("nan")])
    @pytest.mark.parametrize("at", [0, 1, 3])
    def test_a_step_that_is_thrown_away_leaves_no_trace(self, bad: float, at: int) -> None:
        clean, disturbed = Net(), Net()
        one, other = galore(clean), galore(disturbed)
        for step in range(6):
            if step == at:
                (disturbed(images(99)) * bad).sum().backward()
                assert not all(torch.isfinite(g).all() for g in other.gradients())
                other.discard()
            gather(clean, step)
            gather(disturbed, step)
            one.step(1.0)
            other.step(1.0)
        for a, b in zip(clean.parameters(), disturbed.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_galore_torchs_own_projector_stumbles_over_it(self) -> None:
        projector = galore_projector()(4, update_proj_gap=10)
        with pytest.raises(RuntimeError):
            projector.project(torch.full((8, 20), float("inf")), 0)


class TestStates:
    @pytest.mark.parametrize("cut", [1, 2, 3, 5])
    def test_it_goes_on_bit_for_bit(self, cut: int) -> None:
        whole, begun = Net(), Net()
        train(whole, galore(whole), range(8))
        first = galore(begun)
        train(begun, first, range(cut))
        state = {name: tensor.clone() for name, tensor in first.state().items()}
        resumed = Net()
        resumed.load_state_dict(begun.state_dict())
        second = galore(resumed)
        second.load_state(state)
        train(resumed, second, range(cut, 8))
        for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_it_holds_tensors_alone(self) -> None:
        net = Net()
        optimizer = galore(net)
        assert optimizer.state() == {}
        train(net, optimizer, range(1))
        assert all(isinstance(tensor, torch.Tensor) for tensor in optimizer.state().values())

    def test_a_loaded_state_is_not_changed_by_going_on(self) -> None:
        net = Net()
        first = galore(net)
        train(net, first, range(2))
        state = {name: tensor.clone() for name, tensor in first.state().items()}
        kept = {name: tensor.clone() for name, tensor in state.items()}
        second = galore(net)
        second.load_state(state)
        train(net, second, range(2, 4))
        assert all(torch.equal(state[name], kept[name]) for name in kept)


@pytest.mark.parametrize("rank", [24, 1000])
def test_a_rank_that_projects_nothing_is_refused(rank: int) -> None:
    with pytest.raises(InputError, match=f"rank {rank} .*none of the 7 .*at most 24.* lower rank"):
        galore(Net(), rank)


def test_a_rank_above_the_smaller_side_of_some_leaves_those_whole() -> None:
    net = Net()
    optimizer = galore(net, rank=12)
    # 16 x 40 saves with rank 12; 24 x 16 of positions (16 smaller) does too; vectors never.
    train(net, optimizer, range(2))
    facts = optimizer.facts()
    assert 0 < facts["projected"] < 7
    assert facts["compression"] > 1


def test_no_matrix_at_all_is_refused() -> None:
    norm = nn.LayerNorm(32)
    with pytest.raises(InputError, match="none of the 2 tensors"):
        GaloreOptimizer(parameters(norm), GaloreSettings(4, 10, 1e-3))


def test_learning_in_a_subspace_lowers_the_loss() -> None:
    net = Net()
    optimizer = galore(net, rank=2)
    before = float((net(images(0)) ** 2).mean().detach())
    for _ in range(30):
        gather(net, 0)
        optimizer.step(1.0)
    assert float((net(images(0)) ** 2).mean().detach()) < 0.3 * before


def test_what_is_not_projected_is_untouched_by_the_hooks() -> None:
    net = Net()
    galore(net)
    gather(net, 0)
    left = [name for name, parameter in net.named_parameters() if parameter.grad is not None]
    assert left == ["patches.bias", "wide.bias", "tall.bias"]
