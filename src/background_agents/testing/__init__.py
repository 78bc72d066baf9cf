"""What tests of this package, and of adapters written elsewhere, need.

Fakes that pass the same contract suites as the real adapters, and those suites.
Nothing outside of tests imports this.
"""
