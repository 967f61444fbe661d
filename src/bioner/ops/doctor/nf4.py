"""The 4-bit kernels of bitsandbytes: small products, forwards and backwards, against exact ones."""

import sys
from collections.abc import Iterator

from bioner.errors import reason_of
from bioner.models.devices import count_devices
from bioner.ops.doctor.processes import ProgramFailed, run_program
from bioner.ops.doctor.report import Finding, fail, ok

TOLERANCE = 0.15  # rounding such weights to NF4 alone puts products 9 to 10 % off
LIMIT = 300.0  # seconds; a first load of CUDA's libraries over a slow file system takes minutes
ROWS, WIDTH, HEIGHT = 16, 256, 128


def check_nf4() -> Iterator[Finding]:
    """Check that quantised layers work on every visible GPU, or on the CPU without GPUs."""
    gpus = count_devices()
    devices = [f"cuda:{index}" for index in range(gpus)] or ["cpu"]
    place = f"{gpus} GPUs" if gpus > 1 else "the GPU" if gpus else "the CPU (no GPU is visible)"
    try:
        said = run_program([sys.executable, "-m", "bioner.ops.doctor.nf4", *devices], LIMIT)
    except ProgramFailed as error:
        reason = str(error)
    else:
        if 0 < float(said) < TOLERANCE:
            yield ok("nf4", f"works on {place}, {float(said):.1%} off the exact product")
            return
        reason = f"products are {float(said):.0%} off, where 10 % are usual"
    remedy = (
        "`python -m bitsandbytes` says what it lacks; else set settings.<model>.quantization to"
        " null."
    )
    yield fail("nf4", f"4-bit layers fail on {place}: {reason}", remedy)


def error_on(device: str) -> float:
    """Return the largest relative error of NF4 products on a device.

    It covers many rows (training), one row (generation) and gradients.
    """
    import torch
    from bitsandbytes.nn import Linear4bit

    torch.manual_seed(0)
    exact = torch.nn.Linear(WIDTH, HEIGHT, bias=False)
    layer = Linear4bit(WIDTH, HEIGHT, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
    layer.load_state_dict(exact.state_dict())
    layer = layer.to(device)
    layer.support_avx512bf16_for_cpu = False  # as models are loaded: without repacking
    if layer.weight.dtype != torch.uint8:
        raise RuntimeError(f"weights are {layer.weight.dtype}, and not 4-bit")
    rows = torch.randn(ROWS, WIDTH)
    quantised = rows.to(device, torch.bfloat16).requires_grad_()
    many = layer(quantised)
    many.sum().backward()
    assert quantised.grad is not None
    with torch.no_grad():
        one = layer(quantised[:1])
        wanted = exact(rows)
        gradient = exact.weight.sum(0).expand(ROWS, WIDTH)
        pairs = ((many, wanted), (one, wanted[:1]), (quantised.grad, gradient))
        return max(
            float((found.float().cpu() - true).norm() / true.norm()) for found, true in pairs
        )


if __name__ == "__main__":
    try:
        print(max(error_on(device) for device in sys.argv[1:]))
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {reason_of(error)}")
