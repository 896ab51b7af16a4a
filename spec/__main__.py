"""`python -m spec`: run the models. See docs/CONSISTENCY.md, "The model"."""

import argparse
import sys

from spec.table import PARTS, Options, run_ablations, run_configurations


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for; 1 if anything turned out otherwise than expected."""
    parser = argparse.ArgumentParser(prog="python -m spec", description="Explore the models of the protocol.")
    parser.add_argument("--short", action="store_true", help="the small set that runs with each change")
    parser.add_argument("--ablate", action="store_true", help="turn every safeguard off, one by one")
    parser.add_argument("--trace", action="store_true", help="show the shortest way to each violation")
    parser.add_argument("--only", default="", metavar="NAME", help="runs whose `model: configuration` contains NAME")
    parser.add_argument("--list", action="store_true", help="list the models and their runs")
    chosen = parser.parse_args(arguments)
    options = Options(chosen.short, chosen.only, chosen.trace, lambda text: print(text, flush=True))
    if chosen.list:
        for part in PARTS:
            for name in part.names():
                print(f"{part.name}: {name}")
        return 0
    wrong = run_ablations(options) if chosen.ablate else run_configurations(options)
    if wrong:
        print(f"{wrong} turned out otherwise than expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
