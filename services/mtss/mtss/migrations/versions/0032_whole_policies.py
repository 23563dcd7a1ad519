"""What policies of the district left out of ``review`` is written into them: until now it counted as the default policy has it."""

import json
from hashlib import blake2b

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

_POLICY = sa.table("mtss_policy", sa.column("version"), sa.column("document", sa.JSON), sa.column("digest"))
_REVIEW = {
    "proposal_due": (5, "instructional days until a proposal is to be answered", "Ours: a week of school."),
    "declined_rests": (
        20,
        "instructional days until what was declined is proposed again",
        "Ours: about a month of school; new ground is proposed at once.",
    ),
    "override_at_most": (
        45,
        "instructional days that an override may last",
        "Ours: a quarter of a school year of 180 days, then the facts are heard again.",
    ),
    "override_ends_soon": (5, "instructional days before its end", "Ours: a week of school."),
    "flapping_within": (
        90,
        "days in which comings and goings of a tier are counted",
        "Ours: about half a school year.",
    ),
    "help_answered": (
        3,
        "instructional days until a request for help is to be answered",
        "Ours: TFI 2.4 asks that anyone may request help, and sets no time.",
    ),
    "school_silent": (
        2,
        "instructional days in a row that a school has not closed",
        "Ours: one day may be submitted late; after two, tiers of the school rest on old facts.",
    ),
    "equity_alert": (
        2,
        "times as likely in a group as among all others, or as unlikely",
        "Ours: 34 CFR 300.647(a)(7) has states set their own thresholds for risk ratios and names none.",
    ),
}


def upgrade() -> None:
    usual = {name: dict(zip(("value", "unit", "source"), said, strict=True)) for name, said in _REVIEW.items()}
    op.execute("ALTER TABLE mtss_policy DISABLE TRIGGER mtss_policy_stays")
    for version, document in op.get_bind().execute(sa.select(_POLICY.c.version, _POLICY.c.document)).all():
        said = document.get("review", {})
        if usual.keys() - said.keys():
            whole = {**document, "review": {**usual, **said}}
            text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
            digest = blake2b(text.encode(), digest_size=16).hexdigest()
            changed = sa.update(_POLICY).where(_POLICY.c.version == version)
            op.execute(changed.values(document=whole, digest=digest))
    op.execute("ALTER TABLE mtss_policy ENABLE TRIGGER mtss_policy_stays")
