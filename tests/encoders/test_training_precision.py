"""Training with products in bfloat16, and on an accelerator."""

from pathlib import Path
from typing import Any

import pytest
import torch

from isogloss.compute.checkpoints import Checkpoints
from isogloss.compute.devices import matrix_products_in
from isogloss.compute.processes import Processes
from isogloss.encoders.elmo.bilm import BiLM
from isogloss.encoders.elmo.counting import count_text
from isogloss.encoders.elmo.embedder import ELMoEncoder
from isogloss.encoders.elmo.streams import TextFile, TextStreams
from isogloss.encoders.elmo.training import train_bilm

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator, and PyTorch sees none"),
]


class Killed(Exception):
    """Stands for a process that ends in the middle."""


def train(text: Path, settings: Any, **options: Any) -> tuple[ELMoEncoder, list[float]]:
    losses: list[float] = []
    kill_at = options.pop("kill_at", None)

    def on_step(step: Any, planned: int) -> None:
        losses.append(step.loss)
        if step.number == kill_at:
            raise Killed

    return train_bilm(text, language="es", settings=settings, tokenised=True, on_step=on_step, **options), losses


def test_the_loss_in_bfloat16_is_that_in_float32_but_for_rounding(text, tiny, training_settings):
    corpus = TextFile(text, "es", tokenised=True)
    vocabulary = count_text(corpus, training_settings()).vocabulary
    batch = next(TextStreams(corpus, vocabulary, rows=4, unroll=6, seed=1))
    found = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(1)
        model = BiLM(tiny, types=len(vocabulary), samples=8, dropout=0.2)
        with matrix_products_in(precision, torch.device("cpu")):
            loss, states = model.loss(batch, model.zero_states(4))
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(value.dtype == torch.float32 for state in states for value in state)
        gradients = [parameter.grad for parameter in model.parameters()]
        assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients)
        found[precision] = loss.item(), torch.cat([gradient.flatten() for gradient in gradients])
    # bfloat16 keeps 8 bits: each product is off by up to 0.4 per cent.
    assert found["bfloat16"][0] == pytest.approx(found["float32"][0], rel=0.01)
    assert found["bfloat16"][0] != found["float32"][0]
    assert torch.cosine_similarity(found["bfloat16"][1], found["float32"][1], dim=0) > 0.99


def test_a_model_learns_in_bfloat16_and_goes_on_exactly_where_it_was_killed(text, training_settings, tmp_path):
    settings = training_settings(loop={"max_steps": 60, "evaluate_every": 20})
    exact, _ = train(text, settings)
    rough, losses = train(text, settings, precision="bfloat16")
    assert rough.card["forward_perplexity"] == pytest.approx(exact.card["forward_perplexity"], rel=0.1)
    assert all(value.dtype == torch.float32 for value in rough.model.state_dict().values())
    checkpoints = Checkpoints(tmp_path / "c")
    with pytest.raises(Killed):
        train(text, settings, precision="bfloat16", checkpoints=checkpoints, kill_at=31)
    again, rest = train(text, settings, precision="bfloat16", checkpoints=checkpoints)
    assert rest == losses[30:]
    for name, value in rough.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("dummy", [pytest.param(None, marks=GPU, id="cuda")])
def test_a_model_is_trained_on_an_accelerator_and_goes_on_there(text, training_settings, tmp_path, precision, dummy):
    settings = training_settings(softmax_samples=8, loop={"max_steps": 60, "evaluate_every": 20})
    options = {"precision": precision, "processes": Processes(device=torch.device("cuda", 0))}
    on_cpu, _ = train(text, settings)
    encoder, losses = train(text, settings, **options)
    assert all(value.device.type == "cpu" for value in encoder.model.state_dict().values())
    assert encoder.card["forward_perplexity"] == pytest.approx(on_cpu.card["forward_perplexity"], rel=0.1)
    checkpoints = Checkpoints(tmp_path / "c")
    with pytest.raises(Killed):
        train(text, settings, checkpoints=checkpoints, kill_at=31, **options)
    _, rest = train(text, settings, checkpoints=checkpoints, **options)
    # Without the accelerator's generator in the checkpoint, dropout would differ from the first step on. Sums on an
    # accelerator come in no fixed order.
    assert rest == pytest.approx(losses[30:], rel=2e-2)
    assert rest[0] == pytest.approx(losses[30], rel=1e-4 if precision == "float32" else 1e-2)
