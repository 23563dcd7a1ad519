"""A program of its own that pushes and reads as a district's does, through `edfi-api-client` as it is published.

    python edfi_client.py BASE_ADDRESS KEY SECRET

Prints what came of each step as one JSON object.
"""

import json
import sys
from typing import Any

from edfi_api_client import EdFiClient

ABSENCE = "uri://ed-fi.org/AttendanceEventCategoryDescriptor#Unexcused Absence"
STUDENTS = [
    {"studentUniqueId": f"s{n}", "firstName": "Ada", "lastSurname": "Quill", "birthDate": "2012-01-01"}
    for n in range(7)
]


def main(address: str, key: str, secret: str) -> dict[str, Any]:
    """Every verb of the client, in the order in which a district would use them."""
    edfi = EdFiClient(address, key, secret)
    return {
        "about": [edfi.api_mode, edfi.get_ods_version(), edfi.get_data_model_version()],
        "resources": ["/".join(name) for name in edfi.resources],
        "descriptors": ["/".join(name) for name in edfi.descriptors],
        "codes": codes(edfi),
        "said": push(edfi),
        **read(edfi),
        **change(edfi),
        "token": edfi.get_token_info(),
    }


def codes(edfi: EdFiClient) -> dict[str, Any]:
    """What is listed of one descriptor, and whether all are listed, before anything was pushed."""
    categories = edfi.descriptor("attendanceEventCategoryDescriptors")
    (one,) = edfi.descriptor("attendanceEventCategoryDescriptors", params={"codeValue": "Unexcused Absence"}).get()
    return {
        "listed": sorted(row["codeValue"] for row in categories.get_rows(page_size=4)),
        "count": categories.get_total_count(),
        "by_id": categories.get_by_id(one["id"]),
        "grades": [row["codeValue"] for row in edfi.descriptor("gradeLevelDescriptors").get_rows()],
    }


def push(edfi: EdFiClient) -> list[int]:
    """Status codes of what is new, then of the same again."""
    school = {"schoolId": 255901001, "nameOfInstitution": "Grand Bend High School"}
    absence = {
        "studentReference": {"studentUniqueId": "s0"},
        "schoolReference": {"schoolId": 255901001},
        "sessionReference": {"schoolId": 255901001, "schoolYear": 2027, "sessionName": "Fall"},
        "eventDate": "2026-09-01",
        "attendanceEventCategoryDescriptor": ABSENCE,
    }
    rows: list[tuple[str, dict[str, Any]]] = [
        ("schools", school),
        *(("students", one) for one in STUDENTS),
        ("studentSchoolAttendanceEvents", absence),
    ]
    return [post(edfi, resource, row) for _ in range(2) for resource, row in rows]


def post(edfi: EdFiClient, resource: str, row: dict[str, Any]) -> int:
    """The status of one upsert."""
    return int(edfi.session.post_response(edfi.resource(resource).url, row).status_code)


def read(edfi: EdFiClient) -> dict[str, Any]:
    """What lists, pages and counts say."""
    students = edfi.resource("students")
    (one,) = edfi.resource("students", student_unique_id="s3").get()
    return {
        "ping": students.ping().status_code,
        "count": students.get_total_count(),
        "by_token": sorted(row["studentUniqueId"] for row in students.get_rows(page_size=3)),
        "by_offset": sorted(row["studentUniqueId"] for page in students.get_pages(page_size=3) for row in page),
        "by_id": students.get_by_id(one["id"])["studentUniqueId"],
        "deletes": students.has_deletes,
        "described": bool(students.description),
    }


def change(edfi: EdFiClient) -> dict[str, Any]:
    """What replacing and deleting do, and what who follows change versions hears of it."""
    students, before = edfi.resource("students"), edfi.get_newest_change_version()
    (one,) = edfi.resource("students", student_unique_id="s3").get()
    (gone,) = edfi.resource("students", student_unique_id="s4").get()
    replaced = edfi.session.put_response(students.url, one["id"], {**one, "firstName": "Grace"})
    deleted = edfi.session.delete_response(students.url, gone["id"])
    window = {"min_change_version": before + 1, "max_change_version": edfi.get_newest_change_version()}
    changed = edfi.resource("students", **window)
    return {
        "replaced": replaced.status_code,
        "deleted": deleted.status_code,
        "changed": [row["studentUniqueId"] for row in changed.get_rows()],
        "changed_in_steps": [row["studentUniqueId"] for row in changed.get_rows(step_change_version=True)],
        "gone": [row["keyValues"] for row in edfi.resource("students", get_deletes=True, **window).get_rows()],
        "renamed": list(edfi.resource("students", get_key_changes=True, **window).get_rows()),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
