"""Simulated seconds a core plays in one real second, at the stated load: 3 clients, 4 chunkservers, >= 5 operations/s.

    python benchmarks/simulation.py [--seeds 40] [--first 0] [--json]

All kinds of faults and all checks are on, as in a campaign; only the sizes of the cluster and the pause between two
operations are not left to the seed. One process: the figure is per core.
"""

import argparse
import gc
import json
import random
import time

import msgspec

from cairnfs.sim.options import draw_options
from cairnfs.sim.run import run_seed
from cairnfs.sim.schedule import KINDS
from cairnfs.sim.swarm import quiet

GOAL = 50.0
OPERATION_GAP_S = 0.7


def main() -> None:
    """Play the seeds, print the ratio."""
    parser = argparse.ArgumentParser(description="simulated seconds per real second of one core")
    parser.add_argument("--seeds", type=int, default=40, help="how many runs (40)")
    parser.add_argument("--first", type=int, default=random.randrange(10**9), help="the first seed (a fresh one)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    quiet()
    simulated_s = 0.0
    operations = faults = 0
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    for seed in range(args.first, args.first + args.seeds):
        options = msgspec.structs.replace(
            draw_options(seed, KINDS), chunkservers=4, users=3, operation_gap_s=OPERATION_GAP_S
        )
        report = run_seed(seed, options=options)
        gc.collect()  # as a campaign does
        assert not report.failure, f"seed {seed}: {report.failure}"
        simulated_s += report.simulated_s
        operations += sum(report.operations.values())
        faults += sum(report.faults.values())
    cpu_s, real_s = time.process_time() - begun_cpu_s, time.perf_counter() - begun_s
    facts = {
        "first": args.first,
        "seeds": args.seeds,
        "simulated_s": round(simulated_s, 1),
        "cpu_s": round(cpu_s, 1),
        "real_s": round(real_s, 1),
        "operations_per_s": round(operations / simulated_s, 2),
        "faults": faults,
        "times_real_time": round(simulated_s / cpu_s, 1),
        "goal": GOAL,
    }
    if args.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name:18} {value}")


if __name__ == "__main__":
    main()
