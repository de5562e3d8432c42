"""Figures beside the peers: `make bench`. Every side is a process of its own, and the sides alternate in one run.

__main__     the command                         comparing    rounds, paired ratios, verdicts
measuring    one sample, and whether it counts   side         the process that one side runs in
events       the facts that all sides write      others       one module per comparison
"""
