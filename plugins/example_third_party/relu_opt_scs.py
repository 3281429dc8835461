"""SCS, a first-order conic solver, as a backend of relu_opt."""

from relu_opt.plugins import BackendInfo, Feature, RawSolution, StopReason, hookimpl, installed
from relu_opt.program import ConicProgram


class Scs:
    def solve(self, program, options):
        import scs  # not at the top: listing backends imports no solver

        K, tol, limit = program.cones, options.tol / 10, options.time_limit or 0
        cone = {"z": K.zero, "l": K.nonnegative, "q": list(K.second_order), "ep": K.exponential}
        data = {"A": program.A, "b": program.b, "c": program.c}
        settings = {"eps_abs": tol, "eps_rel": tol, "time_limit_secs": limit, "max_iters": 10**7}
        found = scs.solve(data, cone, verbose=options.verbose, **settings)
        stops = {1: "CONVERGED", 2: "TIME_LIMIT", -1: "UNBOUNDED", -2: "INFEASIBLE"}
        stop = StopReason[stops.get(found["info"]["status_val"], "UNKNOWN")]
        x, z = (found[k] if stop.name in ("CONVERGED", "TIME_LIMIT") else None for k in "xy")
        return RawSolution(stop, x, z, raw_status=found["info"]["status"])


@hookimpl
def relu_opt_backends():
    features = frozenset({Feature.SOC, Feature.EXP, Feature.DUALS, Feature.TIME_LIMIT})
    return [BackendInfo("scs", Scs, installed("scs"), frozenset({ConicProgram}), features)]
