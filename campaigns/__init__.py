"""Campaigns: attacks and faults on the service, longer than a test may take, each one command with a seed.

    ./dev campaign                      the list of them
    ./dev campaign crashes --seed 7     one of them, at its full length

A campaign prints what it tried and what it found, keeps the same as JSON in `.cache/campaigns`, and ends with exit
code 1 if anything was lost. The suite runs a short version of each; `docs/reliability.md` has the figures of the last
full ones.
"""
