"""``python -m tests.chaos --rounds 200 --seed 7``: a long run; ends with 1 when anything was violated."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import sys
from collections.abc import Sequence

import msgspec

from tests.chaos.faults import Fault
from tests.chaos.rounds import run_rounds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="by default another one each time")
    parser.add_argument("--faults", nargs="+", type=Fault, default=list(Fault), help=", ".join(Fault))
    arguments = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    try:
        return asyncio.run(run(arguments.rounds, seed, arguments.faults))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


async def run(rounds: int, seed: int, kinds: Sequence[Fault]) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    summary, violations = await run_rounds(
        rounds, seed=seed, kinds=kinds, tell=lambda line: print(line, flush=True)
    )
    print(msgspec.json.encode(summary).decode(), flush=True)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
