"""The proof that a model's graphs may be served: what was compared, with which results."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from preprocess.models.graph_content import Content
from preprocess.models.verification import Verification

PROOF_FILE = "proof.json"


@dataclass(frozen=True, slots=True)
class VariantProof:
    """One graph: its output compared with the model's, its content, its size in bytes.

    `f1` is that of its labels on the hold-out rows, `model_f1` that of the model's. `failures` are
    messages; the graph may be served if there are none.
    """

    variant: str
    verification: Verification
    f1: float
    model_f1: float
    content: Content
    size: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the graph may be served."""
        return not self.failures

    @property
    def f1_loss(self) -> float:
        """How much lower the graph's F1 is, as a fraction of the model's; negative if higher."""
        return (self.model_f1 - self.f1) / self.model_f1 if self.model_f1 else 0.0


@dataclass(frozen=True, slots=True)
class Proof:
    """All graphs of a model, and the variants without a graph, with the reason."""

    model_id: str
    threshold: float
    real_rows: int
    variants: tuple[VariantProof, ...]
    left_out: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every graph may be served."""
        return all(variant.passed for variant in self.variants)

    def table(self) -> str:
        """The proof as lines of text."""
        return "\n".join(self._lines())

    def document(self) -> dict[str, Any]:
        """The proof as plain values, as in its JSON."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        for variant, entry in zip(self.variants, plain["variants"], strict=True):
            entry["passed"] = variant.passed
            entry["f1_loss"] = variant.f1_loss
            entry["content"]["tensor_types"] = variant.content.tensor_types
        return {"passed": self.passed} | plain

    def to_json(self) -> bytes:
        """The proof as an indented JSON document."""
        return msgspec.json.format(msgspec.json.encode(self.document()), indent=2) + b"\n"

    def _lines(self) -> Iterator[str]:
        reference = {variant.variant: variant.size for variant in self.variants}.get("fp32")
        for variant in self.variants:
            smaller = f" ({reference / variant.size:.1f}x smaller than fp32)" if reference else ""
            yield (
                f"{variant.variant}: {variant.size:,} bytes{smaller}, F1 on {self.real_rows:,} "
                f"held-out rows {variant.f1:.4f} (model {variant.model_f1:.4f})"
            )
            yield from (f"  {line}" for line in variant.verification.table().splitlines())
            yield f"  operators: {_counts(variant.content.operators)}"
            yield f"  constants: {_counts(variant.content.tensor_types)}"
            yield from (f"  REFUSED: {failure}" for failure in variant.failures)
        for variant_name, reason in self.left_out.items():
            yield f"{variant_name}: left out. {reason}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
