"""Base models and adapters in memory."""

import logging

# At import, on CPUs with AVX512-BF16, bitsandbytes warns that a kernel from the hub could not be
# fetched. Nothing here would use it: on a CPU the weights are dequantised once (see nf4.py).
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
