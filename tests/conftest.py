"""What all tests have in common."""

import signal

from hypothesis import settings

# A slow machine must not fail a property: time is measured in benchmarks/.
settings.register_profile("cognate", deadline=None)
settings.load_profile("cognate")

# A shell that starts `make test` in the background has it ignore Ctrl-C, and every child of a test inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
