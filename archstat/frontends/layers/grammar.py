"""The grammar of layer lists: ``"(3x3*2,max2/2)*5"`` -> nodes, by recursive descent.

    list     = item , { "," , item } ;
    item     = ( layer | group ) , [ "*" , number ] ;
    group    = "(" , list , { "|" , list } , ")" ;
    layer    = [ "max" | "avg" | "t" ] , sizes , { option } | "up" , sizes | "id" ;
    option   = "/" , sizes | "p" , sizes | "d" , sizes | "g" , number | "dw" | "-" , number ;
    sizes    = number , [ "x" , number , [ "x" , number ] ] ;
    number   = digit , { digit } ;

A layer is a convolution, ``max`` or ``avg`` pooling, a ``t`` (transposed) convolution, an ``up``
sampling to the nearest neighbour, or ``id``, which passes its input on. Options are its stride
``/``, padding ``p``, dilation ``d``, groups ``g`` (``dw``: depthwise) and output channels ``-``.
Blanks may go between any two tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from archstat.errors import LayerListError
from archstat.frontends.layers.nodes import Group, Layer, LayerKind, LayerList, Node, wrong

LARGEST_NUMBER = 1_000_000
MOST_LAYERS = 10_000
MOST_AXES = 3
_DEEPEST = 50
_LONGEST_TEXT = 100_000
_HEADS: dict[str, LayerKind] = {"max": "max", "avg": "avg", "up": "up", "t": "transposed"}
_POOLS = ("max", "avg")
_EXAMPLES = "a layer is 3x3, 3x3/2, max2/2, avg2/2, t4/2, up2 or id"


def parse_layers(text: str) -> LayerList:
    """The nodes of a layer list.

    Raises:
        LayerListError: it does not follow the grammar, mixes numbers of axes, or is too long; the
            message points at the character.
    """
    if len(text) > _LONGEST_TEXT:
        raise LayerListError(
            f"The layer list has {len(text):,} characters; at most {_LONGEST_TEXT:,} are read. "
            "Write what repeats as (3x3,3x3)*8."
        )
    nodes = _Parser(text).whole()
    bare = LayerList(text, nodes, 2)
    ranks = (len(sizes) for layer in bare.layers() for sizes in layer.sizes)
    parsed = replace(bare, axes=next((rank for rank in ranks if rank > 1), 2))
    for layer in parsed.layers():
        if any(len(sizes) not in (1, parsed.axes) for sizes in layer.sizes):
            raise parsed.wrong(
                layer, f"the layers before have {parsed.axes} axes, this one does not"
            )
    return parsed


@dataclass(slots=True)
class _Parser:
    """The text and how far it has been read."""

    text: str
    at: int = 0
    depth: int = 0
    options: set[str] = field(default_factory=set)

    def whole(self) -> tuple[Node, ...]:
        nodes = self.sequence()
        if self.at < len(self.text):
            known = "no group is open here" if self.next == ")" else self.after_layer()
            raise self.error(f"unexpected {self.next!r}; {known}")
        return nodes

    def sequence(self) -> tuple[Node, ...]:
        nodes = [self.item()]
        while self.took(","):
            nodes.append(self.item())
        if sum(node.count for node in nodes) > MOST_LAYERS:
            raise self.error(f"more than {MOST_LAYERS:,} layers, repetitions included")
        return tuple(nodes)

    def item(self) -> Node:
        node = self.group() if self.blank() == "(" else self.layer()
        if not self.took("*"):
            return node
        place = self.at
        times = self.number("a number of repetitions after *", most=MOST_LAYERS)
        if node.count * times > MOST_LAYERS:
            total = f"{node.count * times:,}"
            raise wrong(self.text, place, f"{total} layers; at most {MOST_LAYERS:,}", self.at)
        if isinstance(node, Group) and node.times == 1:
            return replace(node, times=times)
        return Group(((node,),), times, node.start, node.end)

    def group(self) -> Group:
        start, self.depth = self.at, self.depth + 1
        if self.depth > _DEEPEST:
            raise self.error(f"groups nested more than {_DEEPEST} deep")
        self.took("(")
        branches = [self.sequence()]
        while self.took("|"):
            branches.append(self.sequence())
        if not self.took(")"):
            here = f"not {self.next!r}" if self.next else "which the end of the list leaves open"
            raise self.error(f"expected , or | or ) of the group at {start + 1}, {here}")
        self.depth -= 1
        return Group(tuple(branches), 1, start, self.at)

    def layer(self) -> Layer:
        self.blank()
        start = self.at
        if self.took("id"):
            return Layer("id", start, self.at)
        heads = (kind for head, kind in _HEADS.items() if self.took(head))
        kind: LayerKind = next(heads, "conv")
        if kind == "conv" and not _is_digit(self.next):
            raise self.no_layer()
        kernel = self.sizes("a kernel size" if kind != "up" else "a factor")
        end = self.at
        if kind == "up":
            return Layer(kind, start, end, stride=kernel)
        layer, self.options = Layer(kind, start, end, kernel), set()
        while (further := self.option(layer)) is not None:
            layer = further
        return replace(layer, end=_end(self.text, start, self.at))

    def option(self, layer: Layer) -> Layer | None:
        """The layer with the next option, None where no option follows."""
        self.blank()
        place = self.at
        if self.took("/"):
            name, layer = "stride", replace(layer, stride=self.sizes("a stride after /"))
        elif self.took("p"):
            name, layer = "padding", replace(layer, padding=self.sizes("a padding after p", 0))
        elif self.took("dw"):
            name, layer = "groups", replace(layer, groups=0)
        elif self.took("d"):
            name, layer = "dilation", replace(layer, dilation=self.sizes("a dilation after d"))
        elif self.took("g"):
            name, layer = "groups", replace(layer, groups=self.number("a number of groups after g"))
        elif self.took("-"):
            name, layer = "channels", replace(layer, channels=self.number("channels after -"))
        else:
            return None
        if name in self.options:
            raise wrong(self.text, place, f"this layer already has its {name}", self.at)
        if layer.kind in _POOLS and name in ("groups", "channels"):
            raise wrong(self.text, place, f"pooling has no {name} of its own", self.at)
        if layer.kind == "avg" and name == "dilation":
            raise wrong(self.text, place, "average pooling has no dilation", self.at)
        self.options.add(name)
        return layer

    def sizes(self, what: str, least: int = 1) -> tuple[int, ...]:
        start, sizes = self.at, [self.number(what, least)]
        while self.took("x"):
            sizes.append(self.number("a size after x", least))
        if len(sizes) > MOST_AXES:
            raise wrong(self.text, start, f"at most {MOST_AXES} axes, not {len(sizes)}", self.at)
        return tuple(sizes)

    def number(self, what: str, least: int = 1, most: int = LARGEST_NUMBER) -> int:
        self.blank()
        start = self.at
        while _is_digit(self.next):
            self.at += 1
        digits = self.text[start : self.at].lstrip("0")
        if start == self.at:
            found = repr(self.next) if self.next else "the end of the list"
            raise self.error(f"expected {what}, in digits 0 to 9, not {found}")
        if len(digits) > len(str(most)) or int(digits or "0") > most:
            raise wrong(self.text, start, f"at most {most:,}", self.at)
        if int(digits or "0") < least:
            raise wrong(self.text, start, f"expected {what}, at least {least}", self.at)
        return int(digits or "0")

    def took(self, token: str) -> bool:
        """Whether the token comes next; if so, it is read."""
        self.blank()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def blank(self) -> str:
        """The next character behind blanks, "" at the end."""
        while self.next and self.next in " \t\r\n":
            self.at += 1
        return self.next

    @property
    def next(self) -> str:
        return self.text[self.at : self.at + 1]

    def error(self, message: str) -> LayerListError:
        return wrong(self.text, self.at, message)

    def no_layer(self) -> LayerListError:
        if not self.text.strip():
            return LayerListError(f"the layer list is empty; {_EXAMPLES}")
        if not self.next or self.next in ",|)*":
            here = f"before {self.next!r}" if self.next else "at the end of the list"
            return self.error(f"expected a layer {here}; {_EXAMPLES}")
        return self.error(f"{self.next!r} does not begin a layer; {_EXAMPLES}")

    def after_layer(self) -> str:
        return "a layer ends with , or |, or goes on with /2 p1 d2 g4 dw -64 *3"


def _is_digit(character: str) -> bool:
    # str.isdigit() holds for other scripts' digits, too.
    return character != "" and character in "0123456789"


def _end(text: str, start: int, at: int) -> int:
    """The end of a layer without the blanks that were skipped behind it."""
    return start + len(text[start:at].rstrip())
