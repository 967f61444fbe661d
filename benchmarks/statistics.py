"""Simulation of the tests behind comparisons: sizes, power, coverage (docs/statistics.md).

The code is in parts/simulations.py: scripts beside this one that say `import statistics` would find
this file, and are handed the standard library's module.
"""

import sys

if __name__ == "__main__":
    from parts.simulations import main

    main()
else:
    from importlib.util import module_from_spec, spec_from_file_location
    from sysconfig import get_path

    _spec = spec_from_file_location("statistics", f"{get_path('stdlib')}/statistics.py")
    sys.modules["statistics"] = module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["statistics"])
