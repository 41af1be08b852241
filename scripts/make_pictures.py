"""Draw the README's pictures in docs/pictures/ from real runs; ``--check`` only compares."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from generated import ROOT, finish
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURES = ROOT / "docs" / "pictures"
TERMINAL = (
    "archstat compare vgg16 resnet50 mobilenet_v1 \\\n"
    "    --columns params,macs,peak_memory_bytes,receptive_field"
)
PLOT = "archstat memory resnet50 --batch 32 --plot memory.svg"
WIDTH = 80


def main() -> int:
    """Draw the pictures, or compare them."""
    texts = {"compare.svg": terminal(TERMINAL), "memory.svg": plot(PLOT)}
    return finish({PICTURES / name: text for name, text in texts.items()})


def terminal(command: str) -> str:
    """A terminal window with a command and what it prints there, colours included."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), command))
    console.print(Text.from_ansi(shown(command)), end="")
    svg = console.export_svg(title="archstat", theme=MONOKAI)
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def plot(command: str) -> str:
    """The picture that a command with ``--plot`` draws."""
    with TemporaryDirectory() as folder:
        subprocess.run(called(command), cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (picture,) = Path(folder).iterdir()
        return picture.read_text(encoding="utf-8")


def shown(command: str) -> str:
    """What a command prints on a terminal of the picture's width."""
    size = {"COLUMNS": str(WIDTH), "LINES": "100", "TERM": "xterm-256color"}
    environment = {name: text for name, text in os.environ.items() if name != "NO_COLOR"} | size
    ours, its = os.openpty()
    process = subprocess.Popen(called(command), stdout=its, env=environment)
    os.close(its)
    output = b""
    # Linux ends the reading of a closed terminal by an error, other systems by nothing read.
    with suppress(OSError):
        while read := os.read(ours, 4096):
            output += read
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(process.returncode)
    return output.decode().replace("\r\n", "\n")


def called(command: str) -> list[str]:
    """A command of archstat, run by this Python."""
    return [sys.executable, "-m", *shlex.split(command.replace("\\\n", ""))]


if __name__ == "__main__":
    raise SystemExit(main())
