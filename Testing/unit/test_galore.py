"""GaLore: galore-torch's AdamW with our projector, beside torch's AdamW and galore-torch's own."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from small_net import Net, galore

from MedSAGaSlicerLib.engine.teaching import galore_package
from MedSAGaSlicerLib.engine.teaching.projector import Projector, matrix_shape
from MedSAGaSlicerLib.errors import DependencyError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("galore_torch") is None, reason="galore-torch is not installed"
)


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
