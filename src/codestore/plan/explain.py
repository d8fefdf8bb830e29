"""A plan in words and as data: for ``cs plan``, the console and the golden tests."""

from typing import Any

from codestore.plan.model import Plan


def explain(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON-ready data."""
    return {
        "verdict": plan.verdict.value,
        "serving": plan.serving,
        "wanted": plan.wanted,
        "next_look": plan.next_look.isoformat() if plan.next_look else None,
        "steps": [
            {"key": due.step.key, "step": due.step.describe(), "reason": due.reason}
            for due in plan.due
        ],
    }
