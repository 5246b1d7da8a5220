"""GaLore: galore-torch's AdamW with our projector, beside torch's AdamW and galore-torch's own."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from MedSAGaSlicerLib.engine.teaching import galore_package
from MedSAGaSlicerLib.engine.teaching.galore import GaloreOptimizer, GaloreSettings
from MedSAGaSlicerLib.engine.teaching.galore_package import galore_projector
from MedSAGaSlicerLib.engine.teaching.projector import Projector, matrix_shape
from MedSAGaSlicerLib.errors import DependencyError, InputError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("galore_torch") is None, reason="galore-torch is not installed"
)
ALL = 0


class Net(nn.Module):
    """A convolution, wide and tall matrices, vectors and a position code."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 24, 4, stride=4)
        self.position = nn.Parameter(torch.randn(1, 4, 4, 24) * 0.1)
        self.wide = nn.Linear(24, 40)
        self.tall = nn.Linear(40, 16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).permute(0, 2, 3, 1) + self.position
        return self.tall(functional.gelu(self.wide(tokens)))


def parameters(net: nn.Module) -> dict[str, nn.Parameter]:
    return dict(net.named_parameters())


def galore(net: nn.Module, rank: int = 4, every: int = 3, **more: float) -> GaloreOptimizer:
    settings = GaloreSettings(rank, every, 1e-2, fewest=ALL, **more)
    return GaloreOptimizer(parameters(net), settings)


def images(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def gather(net: Net, seed: int) -> None:
    """The gradients of one backward pass."""
    (net(images(seed)) ** 2).mean().backward()


def train(net: Net, optimizer: GaloreOptimizer, steps: range) -> None:
    for step in steps:
        gather(net, step)
        optimizer.step(1.0)


def strongest(matrix: torch.Tensor, rank: int) -> torch.Tensor:
    return torch.linalg.svd(matrix).U[:, :rank]


def captured(basis: torch.Tensor, matrix: torch.Tensor) -> float:
    """The part of a matrix's energy that lies in the subspace."""
    return float((basis.T @ matrix).norm() ** 2 / matrix.norm() ** 2)


def decaying(rows: int, columns: int, seed: int) -> torch.Tensor:
    """A matrix with singular values that fall as those of gradients do."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(rows, rows, generator=generator)).Q
    right = torch.linalg.qr(torch.randn(columns, rows, generator=generator)).Q
    return left * (torch.arange(1, rows + 1) ** -1.0) @ right.T


class TestThePackage:
    def test_it_is_loaded_without_what_it_asks_for(self) -> None:
        code = (
            "import sys\n"
            "from MedSAGaSlicerLib.engine.teaching.galore_package import galore_adamw\n"
            "assert galore_adamw().__name__ == 'AdamW'\n"
            "names = {name.partition('.')[0] for name in sys.modules}\n"
            "assert not names & {'transformers', 'bitsandbytes', 'galore_torch'}, names\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_without_it_the_remedy_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        for name in [name for name in sys.modules if name.startswith(galore_package._NAME)]:
            monkeypatch.delitem(sys.modules, name)
        with pytest.raises(DependencyError, match="pip install --no-deps galore-torch"):
            galore(Net())


class TestBases:
    @pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
    def test_the_first_basis_holds_what_a_full_decomposition_finds(
        self, shape: tuple[int, int]
    ) -> None:
        matrix = decaying(40, 90, 0)
        given = matrix if shape == (40, 90) else matrix.T.contiguous()
        projector = Projector(shape, 6, 10, (0,))
        projector.gather(given, 0)
        projector.project(given, 0)
        assert projector.basis is not None
        torch.testing.assert_close(projector.basis.T @ projector.basis, torch.eye(6))
        best = captured(strongest(matrix, 6), matrix)
        assert captured(projector.basis, matrix) > 0.995 * best

    def test_a_later_basis_follows_the_gradient_and_stays_near_the_former(self) -> None:
        projector = Projector((40, 90), 6, 5, (0,))
        old = decaying(40, 90, 0)
        projector.gather(old, 0)
        projector.project(old, 0)
        first = projector.basis
        new = old + 0.02 * decaying(40, 90, 1)
        projector.gather(new, 5)
        projector.project(new, 5)
        assert first is not None
        assert projector.basis is not None
        assert captured(projector.basis, new) > 0.99 * captured(strongest(new, 6), new)
        # Column by column, not only as a subspace: the moments belong to columns.
        assert float((first * projector.basis).sum(0).min()) > 0.9

    def test_between_two_draws_the_basis_stays(self) -> None:
        projector = Projector((40, 90), 6, 5, (0,))
        for step in range(5):
            matrix = decaying(40, 90, step)
            projector.gather(matrix, step)
            projector.project(matrix, step)
            if step == 0:
                first = projector.basis
        assert projector.basis is first

    def test_a_gradient_of_zeros_is_no_accident(self) -> None:
        projector = Projector((8, 20), 3, 1, (0,))
        for step in range(2):
            projector.gather(torch.zeros(8, 20), step)
            assert torch.isfinite(projector.project(torch.zeros(8, 20), step)).all()
        assert torch.isfinite(projector.project_back(torch.ones(3, 20))).all()

    @pytest.mark.parametrize("size", [1e-30, 1e30])
    def test_the_size_of_a_gradient_is_nothing_to_its_basis(self, size: float) -> None:
        matrix = decaying(40, 90, 0)
        bases = []
        for factor in (1.0, size):
            projector = Projector((40, 90), 6, 10, (0,))
            projector.gather(matrix * factor, 0)
            projector.project(matrix, 0)
            bases.append(projector.basis)
        torch.testing.assert_close(*bases, atol=1e-3, rtol=0)

    def test_shapes_of_convolutions_and_position_codes_are_those_of_matrices(self) -> None:
        assert matrix_shape((768, 3, 16, 16)) == (768, 768)
        assert matrix_shape((1, 64, 64, 768)) == (4096, 768)
        assert matrix_shape((256, 768, 1, 1)) == (256, 768)
        assert matrix_shape((2304, 768)) == (2304, 768)


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
