"""
BD-rates of published curves against each other, by scipy, which shares no code with ours: PCHIP of log(rate) over PSNR, as the package
`bjontegaard` has it with method='pchip'.

    python3 bench/bd_rates.py published/kodak.json > bench/results/bd-rates.json

`test/report/published.test.ts` compares ours with these. Percent, by anchor and then by test; only where both have four points and some
PSNR in common.
"""
import json
import math
import sys

from scipy.interpolate import PchipInterpolator

FEWEST_POINTS = 4


def log_rate(curve):
    points = sorted((point["psnr"], math.log(point["bpp"])) for point in curve["points"])
    return PchipInterpolator(*zip(*points))


def bd_rate(anchor, test):
    """None where the two do not overlap."""
    a, b = log_rate(anchor), log_rate(test)
    low, high = max(a.x[0], b.x[0]), min(a.x[-1], b.x[-1])
    if low >= high:
        return None
    return 100 * math.expm1((b.integrate(low, high) - a.integrate(low, high)) / (high - low))


with open(sys.argv[1], encoding="utf-8") as file:
    curves = [curve for curve in json.load(file)["curves"] if len(curve["points"]) >= FEWEST_POINTS]
print("{")
for i, anchor in enumerate(curves):
    row = {}
    for test in curves:
        value = bd_rate(anchor, test)
        if value is not None:
            row[test["label"]] = round(value, 4)
    print(f"  {json.dumps(anchor['label'])}: {json.dumps(row)}" + ("," if i + 1 < len(curves) else ""))
print("}")
