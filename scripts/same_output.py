"""Record what command lines print and write, and compare two recordings.

    python scripts/same_output.py record BEFORE
    python scripts/same_output.py compare BEFORE AFTER

Only ``archstat.cli.main`` is called, so that any two versions can be compared, however their files
lie. Nothing is stripped from the output: what is timed or measured is not recorded at all.
"""

from __future__ import annotations

import difflib
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

# A fixed name, because messages tell paths; a lock keeps a second recording waiting.
PLACE = Path("/tmp/archstat_same_output")
WORKERS = 2
LONGEST = 120  # seconds a command line may take

# No colours, one width; no settings of the user's git; the same commit every time.
ENVIRONMENT = {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
ENVIRONMENT |= {f"GIT_CONFIG_{level}": os.devnull for level in ("GLOBAL", "SYSTEM")}
for who in ("AUTHOR", "COMMITTER"):
    ENVIRONMENT |= {f"GIT_{who}_NAME": "A", f"GIT_{who}_EMAIL": "a@example.org"}
    ENVIRONMENT[f"GIT_{who}_DATE"] = "2020-01-01T00:00:00Z"

FORMATS = ("console", "csv", "json", "markdown", "latex")

# Each in every format. The first fills the cache of its folder, the others are answered from it.
IN_EVERY_FORMAT = """
list
list --category lightweight --year 2017-2018 --max-macs 600M
compare mobilenet_v1,width=0.5 lenet5 --reference lenet5 --columns model,params,macs --sort macs
compare lenet5 alexnet --transpose --batch 2 --fusion inference
compare lenet5 --variants
compare alexnet --fully-convolutional --resolution 256
compare lenet5 alexnet --join measured.csv --columns model,macs,accuracy
compare nets.py:Net nets.py:Net,width=32 --input 3x32x32
compare nets.py:Unknown --input 3x32x32
summary lenet5
summary squeezenet1_1 --depth 1 --columns output,params,params_share,macs,macs_share
summary mobilenet_v1 --top 5 --sort=-macs
rf lenet5
rf alexnet --every
rf --layers 7x7/2,max3x3/2,(3x3,3x3|id)*2 --input 224 --channels 3
rf resnet18 --at conv3_x --position 0,5
rf resnet18 --advise
guidelines lenet5 --top 2
guidelines shufflenet_v1 mobilenet_v2 --g1 0.1 --fusion none
memory lenet5 --optimizer adam
memory lenet5 squeezenet1_1 --batch 8 --dtype bf16 --kernels cuda
memory resnet20_cifar10 --fits 1GiB
roofline lenet5 --device t4
roofline lenet5 alexnet --device rtx-4090 --dtype fp16 --fusion inference
roofline --list-devices
check --config kept.toml
check --config mixed.toml
diff resnet18 resnet34 --columns params,macs --top 3
diff before.lock after.lock
diff nets.py:Net --base v1 --input 3x32x32
crosscheck lenet5
cache info
"""

# Each block in a folder of its own, its lines one after another.
SEQUENCES = """
--help
--version

list vgg*_bn --family vgg
list no_such_name
list --columns model,nothing

compare lenet5 -o rows.csv
compare lenet5 -o rows.json
compare lenet5 -o rows.xyz
compare lenet5 -o nowhere/rows.csv
compare lenet5 --format yaml
diff rows.json rows.json

compare lenet5 --input 3x32x32
compare lenet5 --input 1xq
compare lenet5 --sort nothing
compare lenet5 --join missing.csv
compare lenet5 --device cpu
compare resnet81
compare lenet5,width=9
compare

compare missing.py:Net
compare nets.py:Net
compare nets.py:Broken --input 3x32x32
compare syntax.py:Net --input 3x32x32
compare nets:Net --input 3x32x32
compare nets.py:Unknown --input 3x32x32 --strict
summary nets.py:Unknown --input 3x32x32 --strict
roofline nets.py:Unknown --input 3x32x32 --device t4 --strict
diff nets.py:Net nets.py:Unknown --input 3x32x32 --strict
memory nets.py:Unknown --input 3x32x32

summary lenet5 --columns im2col,gemm_m,gemm_n,gemm_k,peak_memory_bytes
summary lenet5 --depth -1

rf --layers 3x3d2,t4/2,up2,5x5p1dw-64 --input 64 --channels 8
rf --layers 3x3,3q
rf lenet5 alexnet --every
rf lenet5 --weights missing.pt
rf lenet5 --effective --weights missing.pt
rf lenet5 --check
rf

memory lenet5 --fits 3
memory lenet5 --amp --dtype fp64

roofline alexnet --device mine.toml --top 3
roofline lenet5 --device my-board --device-file mine.toml --every
roofline lenet5 --device t5
roofline lenet5

check
check --config kept.toml --locked
check --config kept.toml --update
check --config kept.toml -f github -o report.md
check --config mixed.toml -f github
check --config incomplete.toml
check --config wrong.toml
check --config mistakes.toml
check --config missing.toml
diff kept.lock kept.lock

diff lenet5 lenet5
diff before.lock lenet5
diff nets.py:Net --base v9
diff nets.py:Net --base v1 --head v1 --input 3x32x32

crosscheck lenet5 --deep
experiment g9
bench lenet5 --budget soon
bench lenet5 --device tpu
bench lenet5 alexnet --per-layer
cache info
cache clear
"""

NETS = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=16):
        super().__init__(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, KERNEL, padding=KERNEL // 2), nn.BatchNorm2d(2 * width),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10))

class Unknown(Net):
    def forward(self, x):
        return torch.special.bessel_j0(super().forward(x))

class Broken(nn.Module):
    def forward(self, x):
        raise ValueError("no forward today")
"""
LOCKED = '[[budget]]\nname = "small"\nmodel = "lenet5"\nparams = "<= 70k"\n'
LOCK = """{"archstat": "0.1.0", "torch": "2.13.0", "schema_version": 1, "budgets": {"small": {
"model": "lenet5", "input": "1x1x32x32", "totals": {"macs": MACS, "params": PARAMS}, "layers": [
{"macs": MACS, "module": "0", "params": PARAMS, "type": "Conv2d"},
{"macs": 840, "module": "1", "params": 850, "type": "Linear"}]}}}
"""
FILES = {
    "before.lock": LOCK.replace("MACS", "156800").replace("PARAMS", "156"),
    "after.lock": LOCK.replace("MACS", "313600").replace("PARAMS", "312"),
    "nets.py": NETS.replace("KERNEL", "5"),
    "syntax.py": "class Net(:\n",
    "measured.csv": "model,accuracy\nlenet5,99.2\nalexnet,56.5\n",
    "kept.toml": LOCKED + '[[budget]]\nmodel = "squeezenet1_*"\nparam_bytes = "<= 5MB"\n',
    "mixed.toml": LOCKED.replace("70k", "50k")
    + '[[budget]]\nmodel = "alexnet"\nmacs = "<= 1M"\ninformational = true\nmessage = "Too much"\n'
    + '[[budget]]\nmodel = "resnet20_cifar10"\nparams = "<= 1M"\nreceptive_field = ">= 32"\n',
    "incomplete.toml": '[[budget]]\nmodel = "nets.py:Unknown"\ninput = "3x32x32"\nmacs = "<= 1G"\n',
    "wrong.toml": '[[budget]]\nmodel = "nets.py:Nit"\ninput = "3x32x32"\nmacs = "<= 1G"\n',
    "mistakes.toml": '[[budget]]\nmodel = "lenet5"\nparms = "<= 1M"\nmacs = "few"\n[devices]\n',
    "mine.toml": '[devices.my-board]\ntitle = "My board"\nmemory = "8GiB"\nbandwidth = 102.4e9\n'
    'vector = { float32 = 1.28e12 }\nsource = "data sheet, page 3"\n',
}


def main(arguments: list[str]) -> int:
    """Record or compare; exit code 1 if recordings differ, 2 if the arguments are wrong."""
    match arguments:
        case ["record", folder]:
            return record(Path(folder).absolute())
        case ["compare", before, after]:
            return compare(Path(before), Path(after))
    print(__doc__, file=sys.stderr)
    return 2


def compare(before: Path, after: Path) -> int:
    """Print a unified diff for every file of two recordings that differs; 1 if any does."""
    for folder in (before, after):
        if not any(folder.glob("*/command")):
            print(f"{folder} is no recording: make one with record {folder}", file=sys.stderr)
            return 2
    names = sorted(written_files(before) | written_files(after))
    different = [name for name in names if show_difference(before / name, after / name, name)]
    print(f"{len(different)} of {len(names)} files differ" if different else "no difference")
    return 1 if different else 0


def written_files(folder: Path) -> set[str]:
    """Every file below a folder, by its relative path."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def show_difference(before: Path, after: Path, name: str) -> bool:
    """Print the unified diff of two files, of which one may be missing; whether there is any."""
    there = [path.read_bytes() if path.is_file() else None for path in (before, after)]
    if there[0] == there[1]:
        return False
    old, new = (
        (content or b"").decode("utf-8", "backslashreplace").splitlines() for content in there
    )
    labels = [
        f"{label}/{name}" if content is not None else "missing"
        for label, content in zip(("before", "after"), there, strict=True)
    ]
    lines = list(difflib.unified_diff(old, new, *labels, lineterm=""))
    print("\n".join(lines or [f"{labels[0]} and {labels[1]} differ in line ends or existence"]))
    return True


def record(folder: Path) -> int:
    """Run every command line, and keep its exit code, its output and the files that it wrote."""
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty: give a new folder", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    with open(PLACE.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(PLACE, ignore_errors=True)
        warm_up()
        workers = [fork(record_share, folder, number) for number in range(WORKERS)]
        failed = [worker for worker in workers if os.waitpid(worker, 0)[1]]
        shutil.rmtree(PLACE)
    print(f"{len(list(folder.iterdir()))} command lines recorded in {folder}")
    return 1 if failed else 0


def warm_up() -> None:
    """Fix what output depends on, and import once what every command line would import."""
    # Modules are found as the console entry finds them, not beside this script.
    here = str(Path(__file__).parent)
    sys.path[:] = [path for path in sys.path if path != here]
    for name in [name for name in os.environ if name.startswith(("ARCHSTAT_", "GIT"))]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)
    import torch

    import archstat.cli
    import archstat.cli.app

    print(f"{archstat.cli.__file__}, torch {torch.__version__}", file=sys.stderr)


def fork(action: Callable[..., int | None], *arguments: object) -> int:
    """Do this in a child process, which ends with it; the child's process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = action(*arguments) or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def record_share(folder: Path, number: int) -> None:
    """Every WORKERS-th sequence of command lines, each in a new folder with a cache of its own."""
    for lines in list(sequences())[number::WORKERS]:
        place = PLACE / name_of(lines[0])
        work = place / "work"
        work.mkdir(parents=True)
        prepare(work)
        for name in ("CACHE", "DATA", "CONFIG"):
            os.environ[f"XDG_{name}_HOME"] = str(place / name.lower())
        for line in lines:
            record_line(folder / name_of(line), line, work)


def sequences() -> Iterator[list[str]]:
    """The command lines, as lists of those that share a folder."""
    for line in IN_EVERY_FORMAT.split("\n"):
        if line:
            yield [f"{line} --format {name}" for name in FORMATS]
    for block in SEQUENCES.strip().split("\n\n"):
        yield block.strip().split("\n")


def name_of(line: str) -> str:
    """A folder's name for a command line."""
    return re.sub(r"[^A-Za-z0-9_.=,-]+", "_", f"archstat {line}").strip("_")


def prepare(work: Path) -> None:
    """Write the files that command lines read, as a git repository; its tag v1 has an older Net."""
    for name, text in FILES.items():
        (work / name).write_text(text, encoding="utf-8")
    (work / "nets.py").write_text(NETS.replace("KERNEL", "3"), encoding="utf-8")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "One"], ["tag", "v1"]):
        subprocess.run(["git", *command], cwd=work, check=True)
    (work / "nets.py").write_text(FILES["nets.py"], encoding="utf-8")


def record_line(kept: Path, line: str, work: Path) -> None:
    """Run one command line in its folder, and keep what came of it."""
    kept.mkdir()
    (kept / "command").write_text(f"archstat {line}\n", encoding="utf-8")
    before = contents(work)
    _, status = os.waitpid(fork(run, kept, line, work), 0)
    code = os.waitstatus_to_exitcode(status)
    (kept / "exit_code").write_text(f"{code}\n", encoding="utf-8")
    for name, content in contents(work).items():
        if before.get(name) != content:
            target = kept / "files" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def contents(work: Path) -> dict[str, bytes]:
    """Every file below the folder, without git's and Python's own."""
    paths = (path for path in work.rglob("*") if path.is_file())
    ours = (path for path in paths if not {".git", "__pycache__"} & set(path.parts))
    return {str(path.relative_to(work)): path.read_bytes() for path in ours}


def run(kept: Path, line: str, work: Path) -> int:
    """What the console entry does, with its output in files."""
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(kept / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(work)
    sys.argv = ["archstat", *shlex.split(line)]
    signal.alarm(LONGEST)
    from archstat.cli import main as archstat

    try:
        code = archstat()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else bool(code)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
