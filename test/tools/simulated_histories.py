#!/usr/bin/env python3
"""The checker of histories over the simulation's transactions: simulated_histories.py SIMULATE. Good runs have no anomaly, and two broken brokers
have the one that they should."""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'tools'))
import check_history  # noqa: E402

RUNS = [(s, None, None) for s in ('copy', 'copy-crash', 'copy-late-old', 'copy-twins', 'copy-versions', 'copy-topics-crash')]
RUNS += [('copy', 'txn-read-undecided', 'undecided-read'), ('copy', 'txn-forget-aborted', 'aborted-read')]


def run(simulate, scenario, seed, mutant, directory):
    path = pathlib.Path(directory) / 'history'
    command = [simulate, '--scenario', scenario, '--seed', str(seed), '--history', str(path)] + (['--mutant', mutant] if mutant else [])
    subprocess.run(command, check=mutant is None, stdout=subprocess.DEVNULL)
    with open(path, encoding='utf-8') as file:
        events = check_history.read_events([file])
    return events, check_history.check(events)


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        for scenario, mutant, expected in RUNS:
            events, found = run(sys.argv[1], scenario, 1, mutant, directory)
            good = {name for name, _ in found} == ({expected} if expected else set()) and len(events) > 20
            failures += not good
            print('%s %s%s: %d events, %s' % ('ok' if good else 'FAILED', scenario, ' with ' + mutant if mutant else '', len(events), found[:3]))
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
