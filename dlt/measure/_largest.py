def largest(counts, most=12):
    """Return the largest of some counts, in their own order, and as a last entry the sum of the others.

    >>> largest({"stem": 1, "wide": 9, "norm": 2, "head": 8}, most=3)
    {'wide': 9, 'head': 8, '2 others': 3}
    """
    counts = {name: count for name, count in counts.items() if count}
    if len(counts) <= most:
        return counts
    kept = sorted(counts, key=counts.get)[1 - most :]
    rest = sum(count for name, count in counts.items() if name not in kept)
    return {name: count for name, count in counts.items() if name in kept} | {f"{len(counts) - most + 1} others": rest}
