"""QOR Lab: build, teach and measure small language models that keep learning."""

import os

# Threads of torch that wait give way soon, here and in every process that is launched from here; by default two brains that
# compute at once slow each other down 20-fold. It counts only where it is set before torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
