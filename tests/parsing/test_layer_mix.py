"""The mix of layers."""

import torch

from isogloss.parsing.layer_mix import LayerMix


def test_an_untrained_mix_is_the_mean():
    vectors = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LayerMix(4)(vectors), vectors.mean(dim=2))


def test_weights_and_scale_by_hand():
    mix = LayerMix(2)
    with torch.no_grad():
        mix.logits.copy_(torch.tensor([3.0, 1.0]).log())  # shares 3/4 and 1/4
        mix.scale.fill_(2.0)
    # 2 · (3/4 · 4 + 1/4 · 8) = 10
    assert mix(torch.tensor([[[[4.0], [8.0]]]])).item() == 10.0


def test_a_huge_logit_chooses_one_layer():
    mix = LayerMix(3)
    with torch.no_grad():
        mix.logits[1] = 100.0
    vectors = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mix(vectors), vectors[:, :, 1])
