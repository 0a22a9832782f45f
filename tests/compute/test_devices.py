"""Where and how precisely to train, and a training run in bfloat16."""

import pytest
import torch

from isogloss.compute.devices import choose_device, choose_precision, fastest_precision, matrix_products_in
from isogloss.compute.randomness import seeded_torch
from isogloss.errors import RecipeError

CPU = torch.device("cpu")
NO_GPU = "needs an accelerator, and PyTorch sees none"


def test_the_names_of_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("cpu") == choose_device("auto") == CPU
    with pytest.raises(RecipeError, match=r"device: found 'cuda', and PyTorch sees no such device"):
        choose_device("cuda")
    with pytest.raises(RecipeError, match=r"device: found 'tpu'\. Expected one of auto, cpu, cuda"):
        choose_device("tpu")


def test_an_accelerator_is_taken_where_there_is_one_and_cpu_was_not_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", 1)
    assert choose_device("cpu") == CPU


def test_the_names_of_precisions(monkeypatch):
    assert choose_precision("auto", CPU) == choose_precision("float32", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"
    cuda = torch.device("cuda", 0)
    for supported, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda supported=supported: supported)
        assert choose_precision("auto", cuda) == expected
    with pytest.raises(RecipeError, match=r"precision: found 'half'\. Expected one of auto, float32, bfloat16"):
        choose_precision("half", CPU)


@pytest.mark.parametrize(("hardware", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_the_fastest_precision_is_bfloat16_where_the_hardware_multiplies_it(monkeypatch, hardware: bool, expected: str):
    monkeypatch.setattr("isogloss.compute.devices.multiplies_bfloat16", lambda device: hardware)
    assert fastest_precision("auto", CPU) == expected
    assert fastest_precision("float32", CPU) == "float32"
    assert fastest_precision("bfloat16", CPU) == "bfloat16"
    with pytest.raises(RecipeError, match=r"precision: found 'half'\. Expected one of auto, float32, bfloat16"):
        fastest_precision("half", CPU)


def test_only_matrix_products_change_and_only_if_asked():
    values = torch.randn(3, 3)
    with matrix_products_in("float32", CPU):
        assert (values @ values).dtype == torch.float32
    with matrix_products_in("bfloat16", CPU):
        assert (values @ values).dtype == torch.bfloat16
        assert (values + values).dtype == torch.float32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_GPU)
def test_what_is_drawn_on_an_accelerator_is_reproducible_too():
    outside = torch.cuda.get_rng_state()
    drawn = []
    for _ in range(2):
        with seeded_torch(1, "a purpose"):
            drawn.append(torch.rand(5, device="cuda"))
    assert torch.equal(*drawn)
    assert torch.equal(torch.cuda.get_rng_state(), outside)
