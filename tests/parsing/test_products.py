"""Products in whole blocks are the products."""

import pytest
import torch

from isogloss.parsing.products import AT_A_TIME, BLOCK, in_blocks, product_type, whole_blocks, widened


@pytest.mark.parametrize("rows", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_bfloat16_rows_come_in_whole_blocks_and_others_as_they_are(rows: int):
    vectors = torch.ones(rows, 2, dtype=torch.bfloat16)
    filled = whole_blocks(vectors)
    assert len(filled) == -(-rows // BLOCK) * BLOCK
    assert filled[:rows].equal(vectors) and not filled[rows:].any()
    assert whole_blocks(vectors.float()).shape == (rows, 2)


@pytest.mark.parametrize("used", [False, True])
def test_a_product_in_blocks_is_the_product(used: bool):
    generator = torch.Generator().manual_seed(0)
    vectors, weight = torch.randn(3, 7, 5, generator=generator), torch.randn(5, 4, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=used):
        assert product_type(vectors) == (torch.bfloat16 if used else torch.float32)
        found, expected = in_blocks(lambda rows: rows @ weight, vectors), vectors @ weight
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rows", [0, 1, AT_A_TIME, 2 * AT_A_TIME + 3])
def test_where_nothing_is_learned_few_rows_of_float32_are_multiplied_at_a_time(rows: int):
    vectors, most = torch.arange(2.0 * rows).view(1, rows, 2), []
    with torch.no_grad():
        found = in_blocks(lambda some: most.append(len(some)) or 2 * some, vectors)
    assert found.equal(2 * vectors) and max(most) <= AT_A_TIME
    assert in_blocks(lambda some: most.append(len(some)) or 2 * some, vectors).equal(found) and most[-1] == rows


def test_only_bfloat16_is_widened():
    kinds = [widened(torch.ones(2, dtype=kind)).dtype for kind in (torch.bfloat16, torch.float32, torch.float64)]
    assert kinds == [torch.float32, torch.float32, torch.float64]
