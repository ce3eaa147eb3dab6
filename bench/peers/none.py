"""Nothing: what the loop, the dict and the two readings of the clock cost by themselves."""


def begin(directory, rank, world):
    return lambda values, step: None, lambda: None
