"""The recurrent layer against PyTorch's own LSTM, a slow implementation, and numerical gradients."""

import pytest
import torch
from torch import Tensor, nn

from isogloss.encoders.elmo import recurrent
from isogloss.encoders.elmo.recurrent import ProjectedLSTM, State


def make_layer(*, width: int = 3, cell_width: int = 5, clip: float = 3.0, seed: int = 0) -> ProjectedLSTM:
    torch.manual_seed(seed)
    layer = ProjectedLSTM(width=width, cell_width=cell_width, cell_clip=clip, projection_clip=clip).double()
    with torch.no_grad():
        layer.bias.normal_()
    return layer


def slow(layer: ProjectedLSTM, inputs: Tensor, state: State, keep: Tensor) -> tuple[Tensor, Tensor]:
    """The equations of the module's docstring, one row and one step at a time."""
    outputs = torch.zeros_like(inputs)
    cells = torch.zeros_like(state.cell)
    for direction in range(2):
        for row in range(inputs.shape[2]):
            cell, output = state.cell[direction, row], state.output[direction, row]
            for step in range(inputs.shape[1]):
                cell, output = cell * keep[step, row], output * keep[step, row]
                pre = (
                    inputs[direction, step, row] @ layer.input_weight[direction]
                    + output @ layer.state_weight[direction]
                    + layer.bias[direction]
                )
                o, i, f, g = pre.split(layer.cell_width)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                cell = cell.clamp(-layer.cell_clip, layer.cell_clip)
                output = (torch.sigmoid(o) * torch.tanh(cell)) @ layer.projection[direction]
                output = output.clamp(-layer.projection_clip, layer.projection_clip)
                outputs[direction, step, row] = output
            cells[direction, row] = cell
    return outputs, cells


def random_case(layer: ProjectedLSTM, *, steps: int = 6, rows: int = 4) -> tuple[Tensor, State, Tensor]:
    inputs = torch.randn(2, steps, rows, layer.width, dtype=torch.double)
    state = State(
        torch.randn(2, rows, layer.cell_width, dtype=torch.double),
        torch.randn(2, rows, layer.width, dtype=torch.double),
    )
    keep = (torch.rand(steps, rows) > 0.3).double()
    return inputs, state, keep


@pytest.mark.parametrize("clip", [0.2, 3.0], ids=["clipping often", "clipping never"])
def test_agrees_with_the_equations_written_out(clip):
    layer = make_layer(clip=clip)
    inputs, state, keep = random_case(layer)
    outputs, after = layer(inputs, state, keep)
    expected, cells = slow(layer, inputs, state, keep)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(after.cell, cells)
    torch.testing.assert_close(after.output, expected[:, -1])


@pytest.mark.parametrize("clip", [0.35, 3.0], ids=["clipping often", "clipping never"])
def test_gradients_agree_with_those_of_the_slow_implementation(clip):
    layer = make_layer(clip=clip)
    inputs, state, keep = random_case(layer)
    inputs.requires_grad_()
    weigh = torch.randn_like(inputs)
    leaves = [inputs, *layer.parameters()]
    found = torch.autograd.grad((layer(inputs, state, keep)[0] * weigh).sum(), leaves)
    expected = torch.autograd.grad((slow(layer, inputs, state, keep)[0] * weigh).sum(), leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_agree_with_finite_differences():
    layer = make_layer()
    inputs, state, keep = random_case(layer, steps=3, rows=2)
    parameters = [parameter.detach().requires_grad_() for parameter in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *values: Tensor) -> Tensor:
        found = torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, state, keep))
        return found[0]

    assert torch.autograd.gradcheck(run, (inputs.requires_grad_(), *parameters))


def test_agrees_with_pytorch_where_nothing_is_clipped():
    layer = make_layer(clip=100.0)
    theirs = nn.LSTM(3, 5, proj_size=3).double()
    inputs, state, _ = random_case(layer)
    keep = torch.ones(6, 4, dtype=torch.double)
    o, i, f, g = (part for part in layer.input_weight[0].split(5, dim=1))
    ho, hi, hf, hg = (part for part in layer.state_weight[0].split(5, dim=1))
    bo, bi, bf, bg = (part for part in layer.bias[0].split(5))
    with torch.no_grad():  # PyTorch orders the gates i, f, g, o
        theirs.weight_ih_l0.copy_(torch.cat([i, f, g, o], dim=1).T)
        theirs.weight_hh_l0.copy_(torch.cat([hi, hf, hg, ho], dim=1).T)
        theirs.bias_ih_l0.copy_(torch.cat([bi, bf, bg, bo]))
        theirs.bias_hh_l0.zero_()
        theirs.weight_hr_l0.copy_(layer.projection[0].T)
    expected, _ = theirs(inputs[0], (state.output[:1], state.cell[:1]))
    torch.testing.assert_close(layer(inputs, state, keep)[0][0], expected)


def test_reading_whole_sentences_agrees_with_the_training_pass():
    layer = make_layer()
    inputs, _, _ = random_case(layer, steps=5, rows=3)
    lengths = [5, 3, 1]
    active = [sum(length > step for length in lengths) for step in range(5)]
    packed = torch.cat([inputs[:, step, :rows] for step, rows in enumerate(active)], dim=1)
    read = torch.stack([layer.read(packed[direction], active, direction=direction) for direction in (0, 1)])
    keep = torch.ones(5, 3, dtype=torch.double)
    trained, _ = layer(inputs, State(*(part.double() for part in layer.zero_state(3))), keep)
    expected = torch.cat([trained[:, step, :rows] for step, rows in enumerate(active)], dim=1)
    torch.testing.assert_close(read, expected)


@pytest.mark.parametrize("tokens_at_once", [1, 5, 512])
def test_reading_forgets_where_a_sentence_begins(monkeypatch, tokens_at_once):
    monkeypatch.setattr(recurrent, "TOKENS_AT_ONCE", tokens_at_once)
    layer = make_layer()
    inputs, _, keep = random_case(layer)
    _, steps, rows, _ = inputs.shape
    begins = [(keep[step] == 0).nonzero()[:, 0].tolist() for step in range(steps)]
    packed = inputs.flatten(1, 2)
    read = torch.stack([layer.read(packed[side], [rows] * steps, begins, direction=side) for side in (0, 1)])
    trained, _ = layer(inputs, State(*(part.double() for part in layer.zero_state(rows))), keep)
    torch.testing.assert_close(read, trained.flatten(1, 2))


def test_a_sentence_that_begins_knows_nothing_of_the_one_before():
    layer = make_layer()
    inputs, state, keep = random_case(layer)
    keep[3] = 0.0
    changed = inputs.clone()
    changed[:, :3] += 1.0
    one, other = layer(inputs, state, keep)[0], layer(changed, state, keep)[0]
    torch.testing.assert_close(one[:, 3:], other[:, 3:], rtol=0, atol=0)
    assert not torch.equal(one[:, :3], other[:, :3])


def test_a_held_layer_passes_the_same_gradient_on_and_gets_none():
    layer = make_layer()
    inputs, state, keep = random_case(layer)
    gradients = []
    for held in (False, True):
        layer.requires_grad_(not held)
        read = inputs.clone().requires_grad_()
        layer.zero_grad()
        layer(read, state, keep)[0].square().sum().backward()
        gradients.append(read.grad)
        assert all((weight.grad is None) == held for weight in layer.parameters())
    assert torch.equal(*gradients)
