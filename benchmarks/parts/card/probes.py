"""Steps that need torch and little else: attention kernels, 4-bit layers, a resumed optimiser."""

import io
import math
from collections.abc import Iterator

import torch
from torch.nn.functional import scaled_dot_product_attention as attention
from torch.profiler import ProfilerActivity, profile

from bioner.io.run_record import provenance
from parts.card.clock import clock
from parts.card.session import Session


def kernels(session: Session) -> None:
    """Show which attention kernels run, whether they give NaN, and what a new shape costs."""
    device, cudnn = session.device, torch.backends.cudnn.version()
    session.say(**provenance(), cuda=torch.version.cuda, cudnn=cudnn)
    for cudnn_attention in (True, False):  # torch's own choice, and that of `device_of`
        torch.backends.cuda.enable_cudnn_sdp(cudnn_attention)
        for probe in (chosen_kernels, padded_rows, backward, new_shapes):
            for figures in probe(device):
                enabled = torch.backends.cuda.cudnn_sdp_enabled()
                session.say(probe=probe.__name__, cudnn_attention=enabled, **figures)


Figures = Iterator[dict[str, object]]


def chosen_kernels(device: torch.device) -> Figures:
    """Name the kernel of each kind of pass: queries by keys, with and without a mask."""
    cases = {"prompt": (190, 190), "drafted lines": (37, 411), "one id": (1, 411)}
    for case, (queries, keys) in cases.items():
        q, k = _random(device, 8, 32, queries, 128), _random(device, 8, 32, keys, 128)
        mask = torch.ones(len(q), 1, q.shape[2], k.shape[2], dtype=torch.bool, device=device)
        found = {}
        for name, given in (("masked", mask), ("unmasked", None)):
            with profile(activities=[ProfilerActivity.CPU]) as profiled:
                attention(q, k, k, attn_mask=given)
            names = {event.key for event in profiled.key_averages()}
            found[name] = sorted(name for name in names if "_scaled_dot" in name)
        yield {"case": case, **found}


def padded_rows(device: torch.device) -> Figures:
    """Look for NaN in rows that attend to nothing, as left padding has.

    The next layer's values of these rows times a weight of 0 would be NaN for the whole sentence.
    """
    q = _random(device, 4, 8, 64, 128)
    length = q.shape[2]
    mask = torch.ones(length, length, device=device, dtype=torch.bool).tril()
    mask = mask[None, None].repeat(len(q), 1, 1, 1)
    mask[1:, :, :, :10] = False
    yield {"nan": bool(attention(q, q, q, attn_mask=mask).isnan().any())}


def backward(device: torch.device) -> Figures:
    """Count gradients that are not finite at length % 128 = 64 (pytorch#196678)."""
    for length in (192, 640, 704):
        q, k, v = (0.1 * _random(device, 1, 1, length, 128) for _ in range(3))
        q[..., 0], k[..., 0] = 1.0, -120 * math.sqrt(q.shape[3])
        q.requires_grad_()
        mask = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=device).tril()
        attention(q, k, v, attn_mask=mask[None, None]).sum().backward()
        yield {"length": length, "not_finite": int((~q.grad.isfinite()).sum())}


def new_shapes(device: torch.device) -> Figures:
    """Time the first call of a shape and the second: decoding has new shapes in most passes."""
    for case, backwards, rows, shapes in (
        ("drafted lines", False, 32, [(20 + 7 * i, 210 + 13 * i) for i in range(8)]),
        ("one id", False, 32, [(1, 300 + i) for i in range(8)]),
        ("training", True, 4, [(128 + 8 * i, 128 + 8 * i) for i in range(8)]),
    ):
        once, again = (
            sorted(
                clock(_attend, device, (rows, 32, queries), keys, backwards)[0].whole
                for queries, keys in shapes
            )
            for _ in range(2)
        )
        middle = len(once) // 2
        yield {
            "case": case,
            "first_ms": round(once[middle], 2),
            "worst_ms": round(once[-1], 2),
            "again_ms": round(again[middle], 3),
        }


def _attend(device: torch.device, sizes: tuple[int, int, int], keys: int, backwards: bool) -> None:
    rows, heads, queries = sizes
    q, k = _random(device, rows, heads, queries, 128), _random(device, rows, heads, keys, 128)
    q.requires_grad_(backwards)
    size = (len(q), 1, q.shape[2], k.shape[2])
    mask = torch.ones(size, dtype=torch.bool, device=device)
    mask[0, :, :, :3] = False  # a mask that hides nothing might be left out
    out = attention(q, k, k, attn_mask=mask)
    if backwards:
        out.sum().backward()


def _random(device: torch.device, *sizes: int) -> torch.Tensor:
    """Return bf16 queries or keys: batch, heads, length, width; small ones on the CPU."""
    if device.type == "cpu":
        sizes = (2, 2, min(sizes[2], 24), 16)
    return torch.randn(*sizes, device=device, dtype=torch.bfloat16)


def nf4(session: Session) -> None:
    """Measure the error of 4-bit products, forward and backward, as `bioner doctor` does."""
    from bioner.ops.doctor.nf4 import TOLERANCE, error_on

    error = error_on(str(session.device))
    session.say(relative_error=round(error, 4), sound=0 < error < TOLERANCE)


def optimizer(session: Session) -> None:
    """Check that paged 8-bit AdamW continues with equal weights once saved and loaded."""
    from bitsandbytes.optim import PagedAdamW8bit

    def steps(weights: torch.nn.Parameter, made: torch.optim.Optimizer, seed: int) -> None:
        draw = torch.Generator(weights.device).manual_seed(seed)
        for _ in range(5):
            weights.grad = torch.randn(weights.shape, generator=draw, device=weights.device)
            made.step()

    size = (64, 64) if session.rehearse else (4096, 1024)
    weights = torch.nn.Parameter(torch.ones(size, device=session.device))
    made = PagedAdamW8bit([weights], lr=1e-3)
    steps(weights, made, 1)
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    copy = torch.nn.Parameter(weights.detach().clone())
    resumed = PagedAdamW8bit([copy], lr=1e-3)
    resumed.load_state_dict(torch.load(file, map_location=session.device, weights_only=True))
    steps(weights, made, 2)
    steps(copy, resumed, 2)
    session.say(resumed_equal=bool(torch.equal(weights, copy)))
