"""The measures, one module each with run(bench) and its table of goals."""
