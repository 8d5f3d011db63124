"""What the comparison tools share: taking turns, running `descent bench`, tables and JSON."""

import functools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PROGRAM = REPOSITORY / "build" / "descent"


@functools.cache
def usable_threads():
    """As many as descent itself would use: it knows affinity and the control group's share."""
    if PROGRAM.exists():
        told = re.search(r"descent uses (\d+)", run([PROGRAM, "doctor"]).stdout)
        if told:
            return int(told[1])
    return len(os.sched_getaffinity(0))


def require_program(program):
    if not program.exists():
        sys.exit(f"{program} is missing: build it first (tools/quickstart).")


def run(command, environment=None):
    """The finished process; ends this program with its errors if it failed. `environment` is added to ours."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, env={**os.environ, **(environment or {})})
    if done.returncode != 0:
        said = done.stderr or "\n".join(done.stdout.splitlines()[-40:])  # compilers' errors come through ninja's output
        sys.exit(f"{' '.join(str(word) for word in command)} failed:\n{said}")
    return done


def bench(program, *words, environment=None):
    """What `descent bench` measured, as its JSON says."""
    return json.loads(run([program, "bench", "--json", "-", *words], environment).stdout)


@dataclass
class Process:
    seconds: float
    peak_bytes: int  # resident at most


# A new process starts with its parent's memory, which counts for its peak: the parent must be small.
LAUNCHER = """
import os, sys, time
begin = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                       file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - begin, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def run_process(command):
    """Runs a command, its program by path, from start to end; its time and its own peak of resident memory."""
    words = [str(word) for word in command]
    done = run([sys.executable, "-I", "-S", "-c", LAUNCHER, *words])
    seconds, kibibytes, code = done.stdout.split()
    if code != "0":
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")
    return Process(float(seconds), int(kibibytes) * 1024)


@dataclass
class Side:
    """One of those that take turns. `turn` returns the values of one turn, smaller is better; or, of a side that is
    summarised, the least and the median of its runs."""

    name: str
    turn: object
    summarised: bool = False
    values: list = field(default_factory=list)
    turns: list = field(default_factory=list)  # the values of each turn

    def least(self):
        return min(self.values)

    def median(self):
        """Of all values; of the turns' medians where the side is summarised."""
        return statistics.median(turn[-1] for turn in self.turns) if self.summarised else statistics.median(self.values)


def summary(times):
    """What a turn of a summarised side returns."""
    return [min(times), statistics.median(times)]


def alternate(sides, turns, form):
    """Lets the sides take turns; the order turns round each time, so that neither always follows the other."""
    for turn in range(turns):
        for side in sides if turn % 2 == 0 else list(reversed(sides)):
            values = side.turn()
            side.values += values
            side.turns.append(values)
            print(f"{turn + 1}: {side.name}: {', '.join(form(value) for value in values[:6])}", file=sys.stderr, flush=True)


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def sides_table(sides, unit, form):
    """A row a side; the last two columns are ratios to the first side."""
    first = sides[0]
    rows = [[side.name, form(side.least()), form(side.median()), form(max(side.values)),
             f"{side.least() / first.least():.2f}", f"{side.median() / first.median():.2f}"] for side in sides]
    return table(["", f"{unit}, min", "median", "max", f"min ÷ {first.name}'s", "median ÷"], rows)


def machine():
    """Of the processor, as /proc/cpuinfo names it."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{name}, {usable_threads()} cores, {platform.system()} {platform.release()}"


def write_json(file, content):
    if file:
        Path(file).write_text(json.dumps({"machine": machine(), "command": sys.argv, **content}, indent=1) + "\n")


def milliseconds(value):
    return f"{value * 1e3:.4g}"


def mebibytes(value):
    return f"{value / 2**20:.0f}"
