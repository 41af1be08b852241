"""The blocks that a capture runs in: generators kept, collection paused."""

from __future__ import annotations

import gc
import random

import numpy
import pytest
import torch

from archstat.frontends.garbage import collection_paused
from archstat.frontends.guard import generators_kept


def test_generators_advance_inside_the_block_alone():
    random.seed(1), torch.manual_seed(1), numpy.random.seed(1)
    with generators_kept():
        inside = (random.random(), torch.rand(1).item(), numpy.random.rand())
        torch.manual_seed(99), random.seed(99)
    assert (random.random(), torch.rand(1).item(), numpy.random.rand()) == inside


def test_generators_are_put_back_when_the_block_raises():
    state = random.getstate()
    with pytest.raises(KeyError), generators_kept():
        random.random()
        raise KeyError
    assert random.getstate() == state


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_off_inside_the_block_and_as_it_was_after_it(enabled):
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyError), collection_paused():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
