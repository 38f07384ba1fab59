"""As issue, but with the names proved by tls-alpn-01: three handshakes of the CA
for each, in place of three requests at port 80. One round."""
from measures.issue import GOALS, one

METRICS = ("wall time", "requests per certificate", "early polls",
           "CPU per certificate")


def run(bench):
    size = bench.args.certificates
    for key in bench.subjects("md", "acme"):
        bench.say("alpn: %d certificates, %s" % (size, key))
        found = one(bench, key, size, "tls-alpn-01")
        for metric in METRICS:
            unit, value = found[metric]
            bench.results.add("alpn", size, metric, unit, key, value, "md",
                              GOALS.get(metric))
