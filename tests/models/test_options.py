"""From the texts of options to dataclasses and enums."""

from __future__ import annotations

import dataclasses
import enum

import pytest

from archstat.errors import OptionError
from archstat.models.options import bound
from archstat.models.specs import parse_spec


class Norm(enum.Enum):
    BATCH = "batch"
    LAYER = "layer"


@dataclasses.dataclass(frozen=True)
class Block:
    width: int = 8
    sizes: tuple[int, ...] = (3,)


@dataclasses.dataclass(frozen=True)
class Config:
    depth: int
    norm: Norm = Norm.BATCH
    name: str = "net"
    block: Block = Block(width=16)


def by_annotation(cfg: Config, norm: Norm = Norm.BATCH):
    return cfg, norm


def by_optional(cfg: Config | None = None):
    return cfg


def by_default(cfg=Config(2, name="own"), norm=Norm.LAYER):
    return cfg, norm


def built(found, options):
    return bound(parse_spec(f"nets.py:Net,{options}"), found)()


def test_dotted_keys_make_a_dataclass_and_those_inside_it():
    options = "cfg.depth=4,cfg.name='4',cfg.norm=LAYER,cfg.block.sizes=(5,7),norm=layer"
    expected = Config(4, Norm.LAYER, "4", Block(width=16, sizes=(5, 7)))
    assert built(by_annotation, options) == (expected, Norm.LAYER)


def test_optional_dataclass_is_made():
    assert built(by_optional, "cfg.depth=4") == Config(4)


def test_fields_that_are_not_given_stay_those_of_the_default():
    expected = Config(2, name="own", block=Block(width=4))
    assert built(by_default, "cfg.block.width=4,norm=BATCH") == (expected, Norm.BATCH)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("cfg.dept=4", "cfg has no field 'dept'. Did you mean depth?"),
        ("cfg.name=a", "needs depth of cfg"),
        ("cfg.depth=four", "cfg.depth must be a whole number"),
        ("cfg.depth=4,cfg.norm=group", "cfg.norm must be BATCH or LAYER"),
        ("cfg.depth=4,cfg.depth.x=4", "cfg.depth is not a dataclass"),
        ("cfg.depth=4,norm.x=1", "norm is not a dataclass"),
        ("config.depth=4", "there is no option 'config.depth'"),
    ],
)
def test_wrong_part_is_refused_with_what_there_is(options, said):
    with pytest.raises(OptionError) as refusal:
        built(by_annotation, options)
    assert said in str(refusal.value)
