"""Train the forecasting network and write ``weights.safetensors``. Needs PyTorch; the demonstration itself does not.

The network here states the formulae of the MPS layers in PyTorch: an LSTM cell whose four gates are convolutions of
the input and of the last output, twice, and a single gate without recurrence that reads the next frame out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from . import digits
from .model import GATES, WEIGHTS
from .patches import PATCH, to_patches

FRAME_CHANNELS = PATCH**2


class LSTMCell(nn.Module):
    """A convolutional LSTM cell.

    A gate keeps its weights as one matrix, a row per output channel, over input and last output side by side: one
    convolution over both is the sum of two, and a matrix is what the Muon optimiser takes.
    """

    def __init__(self, inputs: int, hidden: int, side: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.shape = (hidden, inputs + hidden, side, side)
        fan_in = (inputs + hidden) * side**2
        bound = fan_in**-0.5
        self.weights = nn.ParameterDict({gate: torch.empty(hidden, fan_in).uniform_(-bound, bound) for gate in GATES})
        # Remember by default: a digit has to survive twenty frames.
        self.biases = nn.ParameterDict({gate: torch.full((hidden,), float(gate == "forget")) for gate in GATES})

    def convolution(self) -> tuple[Tensor, Tensor]:
        """Return weights and biases of all gates, stacked for one convolution."""
        weights = torch.cat([self.weights[gate].view(self.shape) for gate in GATES])
        return weights, torch.cat([self.biases[gate] for gate in GATES])

    def forward(self, x: Tensor, h: Tensor, c: Tensor, convolution: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the new output and the new memory cell."""
        sums = functional.conv2d(torch.cat((x, h), dim=1), *convolution, padding="same").float()
        i, f, g, o = sums.chunk(len(GATES), dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Network(nn.Module):
    """The stack: LSTM, LSTM, read-out."""

    def __init__(self, hidden: int, sides: tuple[int, int, int]) -> None:
        super().__init__()
        self.hidden = hidden
        first, second, readout = sides
        self.cells = nn.ModuleList((LSTMCell(FRAME_CHANNELS, hidden, first), LSTMCell(hidden, hidden, second)))
        self.readout = nn.Conv2d(hidden, FRAME_CHANNELS, readout, padding="same")

    def forward(self, frames: Tensor, steps: int) -> Tensor:
        """Predict ``steps`` frames, each from its predecessor: given ones first, then the network's own.

        Parameters
        ----------
        frames : (given, sequences, channels, rows, columns) tensor
            What is observed.
        steps : int
            How many predictions to make, ``given - 1`` of them about frames that are given.

        Returns
        -------
        (steps, sequences, channels, rows, columns) tensor of logits.
        """
        given, sequences, _, rows, columns = frames.shape
        blank = frames.new_zeros(sequences, self.hidden, rows, columns)
        state = [(blank, blank) for _ in self.cells]
        convolutions = [cell.convolution() for cell in self.cells]
        logits: list[Tensor] = []
        for step in range(steps):
            x = frames[step] if step < given else torch.sigmoid(logits[-1])
            for layer, cell in enumerate(self.cells):
                state[layer] = cell(x, *state[layer], convolutions[layer])
                x = state[layer][0]
            logits.append(self.readout(x).float())
        return torch.stack(logits)


def batch(scans: np.ndarray, sequences: int, frames: int, rng: np.random.Generator) -> Tensor:
    """Draw sequences as the network takes them: ``(frames, sequences, channels, rows, columns)``."""
    patches = to_patches(digits.moving_digits(scans, sequences, frames, rng))
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(patches, -1, -3)))


def optimisers(network: Network, options: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the gates and Adam for the rest; Adam alone needs more than twice the steps."""
    matrices = [weight for cell in network.cells for weight in cell.weights.values()]
    others = [bias for cell in network.cells for bias in cell.biases.values()] + list(network.readout.parameters())
    return [
        torch.optim.Muon(matrices, lr=options.muon_rate, weight_decay=0),
        torch.optim.Adam(others, lr=options.adam_rate),
    ]


def horizon_at(progress: float) -> int:
    """Return how many frames beyond the observed ones to predict when ``progress`` of the training is done.

    One at first, which is cheap and teaches motion; then ever more, fed back, so that errors are learned to be
    survived.
    """
    ramp_start, ramp_end = 0.4, 0.6
    risen = min(max((progress - ramp_start) / (ramp_end - ramp_start), 0), 1)
    return 1 + round(risen * (digits.FORECAST - 1))


def train(options: argparse.Namespace) -> Network:
    """Train from scratch."""
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(options.seed)
    scans = digits.load_scans("train")
    network = Network(options.hidden, tuple(options.sides))
    steppers = optimisers(network, options)
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            stepper, stepper.param_groups[0]["lr"], total_steps=options.steps, pct_start=0.03, cycle_momentum=False
        )
        for stepper in steppers
    ]
    progress = tqdm(range(options.steps), unit="step", mininterval=5)
    for step in progress:
        horizon = horizon_at(step / options.steps)
        predictions = digits.OBSERVED - 1 + horizon
        truth = batch(scans, options.batch, predictions + 1, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            logits = network(truth[: digits.OBSERVED], predictions)
        # A motion cannot be known from a single frame, so the first prediction is not judged.
        loss = functional.binary_cross_entropy_with_logits(logits[1:], truth[2:])
        network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for stepper, schedule in zip(steppers, schedules, strict=True):
            stepper.step()
            schedule.step()
        if step % 20 == 0:
            last = functional.mse_loss(torch.sigmoid(logits[-1].detach()), truth[-1])
            progress.set_postfix(horizon=horizon, loss=f"{loss.item():.4f}", last_mse=f"{last.item():.4f}")
        if options.checkpoint and step % 250 == 249:
            write_weights(network, options, options.checkpoint)
    return network


def write_weights(network: Network, options: argparse.Namespace, path: Path) -> None:
    """Write the weights gate by gate, in the output-height-width-input order of the MPS data sources."""
    tensors: dict[str, Tensor] = {}
    for layer, cell in enumerate(network.cells):
        for gate in GATES:
            weights = cell.weights[gate].detach().view(cell.shape).permute(0, 2, 3, 1)
            tensors[f"{layer}.{gate}_gate.input_weights"] = weights[..., : cell.inputs]
            tensors[f"{layer}.{gate}_gate.recurrent_weights"] = weights[..., cell.inputs :]
            tensors[f"{layer}.{gate}_gate.bias"] = cell.biases[gate].detach()
    readout = len(network.cells)
    tensors[f"{readout}.input_weights"] = network.readout.weight.detach().permute(0, 2, 3, 1)
    tensors[f"{readout}.bias"] = network.readout.bias.detach()
    # Halves for the weights, as the image layer rounds them anyway; full precision for the few biases.
    stored = {name: (value if name.endswith("bias") else value.half()).contiguous() for name, value in tensors.items()}
    network_record = {
        "layers": ["lstm", "lstm", "readout"],
        "hidden": options.hidden,
        "sides": list(options.sides),
        "steps": options.steps,
        "batch": options.batch,
        "seed": options.seed,
    }
    # One entry only: the library writes several in random order, and equal trainings shall give equal files.
    save_file(stored, path, {"network": json.dumps(network_record)})


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m mpsrnn_cy.demo.train",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="file to write")
    parser.add_argument("--checkpoint", type=Path, help="file to write every 250 steps as well")
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--batch", type=int, default=8, help="sequences per step")
    parser.add_argument("--hidden", type=int, default=32, help="feature channels of both LSTM layers")
    parser.add_argument(
        "--sides", type=int, nargs=3, default=(5, 3, 3), help="sides of the kernels: LSTM, LSTM, read-out"
    )
    parser.add_argument("--muon-rate", type=float, default=0.025, help="learning rate of the gates' weights")
    parser.add_argument("--adam-rate", type=float, default=3e-3, help="learning rate of everything else")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-bfloat16", dest="bfloat16", action="store_false", help="convolve in float32 (slower)")
    return parser.parse_args()


def main() -> None:
    """Train and write."""
    options = parse_options()
    write_weights(train(options), options, options.output)


if __name__ == "__main__":
    main()
