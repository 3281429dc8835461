from relu_opt.testing import BackendConformance


class TestScs(BackendConformance):
    backend = "scs"
