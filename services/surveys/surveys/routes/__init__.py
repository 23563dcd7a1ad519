"""HTTP in: windows and consents, personal links, the page behind them, and answers given on paper."""

from fastapi import APIRouter

from surveys.routes import answers, consents, links, paper, results, windows

router = APIRouter()
for _topic in (windows, consents, links, paper, results, answers):
    router.include_router(_topic.router)
