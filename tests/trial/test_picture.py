"""What the demonstration's table says of conferences."""

import httpx

from trial.picture import Watch


def _answer(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/sis/v1/summary":
        return httpx.Response(200, json={"schools": [{"school_id": "1"}, {"school_id": "new"}]})
    if request.url.path == "/restorative/v1/schools/1/summary":
        return httpx.Response(200, json={"offered": 5, "held": 3, "completed": 2, "days_avoided": 4.5})
    return httpx.Response(404)


def test_conferences_are_counted_without_refusals_and_without_schools_not_heard_of():
    with httpx.Client(transport=httpx.MockTransport(_answer), base_url="http://trellis") as http:
        rows = list(Watch(http, ())._conferences())
    assert rows == [("offered", "5"), ("held, and completed", "3, and 2"), ("days of exclusion avoided", "4.5")]
