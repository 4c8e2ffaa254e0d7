"""`tfdeblur info`: see SUMMARY."""

import json
import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Parameters of each part and multiply-accumulates at a size, beside what the paper says. Without
--system: every system."""


def _define(values, argv):
    del argv
    flags.DEFINE_string("system", None, "A system's name; default: all.", flag_values=values)
    flags.DEFINE_string("size", "720x1280", "HEIGHTxWIDTH of the image.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print JSON: one object, or a list for all systems.", flag_values=values)


def _run(values, arguments):
    del arguments
    size = common.parse_size(values.size)

    from tfdeblur.info import describe
    from tfdeblur.systems import SYSTEMS, system

    if values.system:
        system(values.system)
    described = [describe(name, size) for name in ([values.system] if values.system else SYSTEMS)]
    if values.json:
        print(json.dumps(described[0] if values.system else described, indent=2))
        return 0
    for one in described:
        print(f"{one['system']}: {SYSTEMS[one['system']]}")
        for part, count in one["parameters"].items():
            print(f"  {part + ' parameters':32} {count:>16,}")
        height, width = one["size"]
        print(f"  {f'multiply-accumulates at {width}x{height}':32} {one['macs']:>16,}  ({one['macs'] / 1e9:,.1f} G)")
        for fact, value in one["paper"].items():
            print(f"  {'paper: ' + fact:32} {value}")
    return 0


def main(argv=None):
    return common.execute("info", SUMMARY, _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
