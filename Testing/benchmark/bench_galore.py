"""How long GaLore's bases take to be drawn anew: ours beside galore-torch's, matrix by matrix.

The shapes are those of all linear layers of a model's encoder, the gradients made with singular
values that fall as fast as those of real ones. Ours is asked for a later basis, as in all but the
first step, and for the first one. Beside the times stands how much of the gradient's energy the
subspace holds, in parts of the most that one of its rank can hold. CPU time of the process, which
other programs on the machine disturb little; wall time is there too.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from report import report

from MedSAGaSlicerLib.engine.families import build
from MedSAGaSlicerLib.engine.teaching.galore_package import galore_projector
from MedSAGaSlicerLib.engine.teaching.projector import Projector

EVERY = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="sam_vit_b")
    parser.add_argument("--rank", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    counts: dict[tuple[int, int], int] = {}
    for module in build(options.family, "meta").image_encoder.modules():
        if isinstance(module, torch.nn.Linear):
            shape = (module.out_features, module.in_features)
            counts[shape] = counts.get(shape, 0) + 1
    for rank in options.rank:
        compare(counts, rank, options)


def compare(counts: dict[tuple[int, int], int], rank: int, options: argparse.Namespace) -> None:
    """Time one matrix of each shape and add up over the encoder."""
    rounds, energies = [], []
    for _ in range(options.rounds):
        seconds, held = one_round(counts, rank, options.device)
        rounds.append(seconds)
        energies += held
    for which in ("later", "first"):
        package = [one["package"] for one in rounds]
        report(
            f"{options.family} {which} bases of rank {rank}",
            [one[which][0] for one in rounds],
            "s of CPU",
            wall=statistics.median(one[which][1] for one in rounds),
            reference=statistics.median(cpu for cpu, _ in package),
            reference_is="galore-torch",
            reference_wall=statistics.median(wall for _, wall in package),
            matrices=sum(counts.values()),
            least_energy=round(min(energies), 4) if which == "later" else None,
            threads=options.threads,
        )


def one_round(
    counts: dict[tuple[int, int], int], rank: int, device: str
) -> tuple[dict[str, list[float]], list[float]]:
    """CPU and wall seconds of the whole encoder, and the energy held of each matrix."""
    seconds = {name: [0.0, 0.0] for name in ("first", "later", "package")}
    energies = []
    for number, (shape, count) in enumerate(counts.items()):
        before = gradient(shape, 2 * number).to(device)
        now = before + 0.3 * gradient(shape, 2 * number + 1).to(device)
        ours = Projector(shape, rank, EVERY, (0, number))
        add(seconds["first"], count, timed(lambda o=ours, g=before: draw(o, g, 0)))
        add(seconds["later"], count, timed(lambda o=ours, g=now: draw(o, g, EVERY)))
        package = galore_projector()(rank, update_proj_gap=EVERY)
        add(seconds["package"], count, timed(lambda p=package, g=now: p.project(g, 0)))
        held = energy(ours.basis, now)
        most = torch.linalg.svdvals(now)[:rank].square().sum() / now.square().sum()
        energies.append(held / float(most))
    return seconds, energies


def gradient(shape: tuple[int, int], seed: int) -> torch.Tensor:
    """A matrix with singular values 1, 1/2, 1/3 …"""
    generator = torch.Generator().manual_seed(seed)
    smaller = min(shape)
    left, right = (
        torch.linalg.qr(torch.randn(side, smaller, generator=generator)).Q for side in shape
    )
    return (left / torch.arange(1, smaller + 1)) @ right.T


def draw(projector: Projector, matrix: torch.Tensor, step: int) -> None:
    """A basis for a step, and the gradient in it."""
    projector.gather(matrix, step)
    projector.project(matrix, step)


def energy(basis: torch.Tensor | None, matrix: torch.Tensor) -> float:
    """The part of a matrix's energy in a subspace."""
    assert basis is not None
    low = basis.T @ matrix if len(basis) == len(matrix) else matrix @ basis
    return float(low.square().sum() / matrix.square().sum())


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of one call."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.process_time() - cpu, time.perf_counter() - wall


def add(total: list[float], count: int, times: tuple[float, float]) -> None:
    """Add `count` times what one matrix took."""
    for number, value in enumerate(times):
        total[number] += count * value


if __name__ == "__main__":
    main()
