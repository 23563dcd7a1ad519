"""Questions: of whom too little is known, where the policy has a person asked, and that somebody has looked."""

from uuid import UUID

from common.app import Router
from common.errors import DomainError
from common.idempotency import ONCE
from mtss.routes.desk import At, Reasoned, RulingDocument

router = Router("mtss")


class NothingAsked(DomainError):
    """Nobody is asked about this student: enough is known, or somebody has looked."""


@router.post("/v1/students/{student_id}/question/answer", status_code=201, dependencies=[ONCE])
async def answer_question(student_id: UUID, asked: Reasoned, desk: At) -> RulingDocument:
    """Say what you found about a student of whom too little is known. The tier stays; nobody is asked about the same clauses for the days that the policy says.

    Who finds that another tier is right overrides it, or begins a support. If-Match names the ETag of the student.

    Raises:
        NothingAsked: nobody is asked about them.
    """
    student = await desk.student(student_id)
    if student.question_id is None:
        raise NothingAsked
    return await desk.rule(student, asked.reason, kind="looked", tier=student.tier)
